from __future__ import annotations

import numpy as np
import pytest

from relaygen.profiling.candidates import Candidate, discover, openers
from relaygen.profiling.sentences import find_sentences

from .made import PIECE


@pytest.mark.parametrize(
    ("head", "found"),
    [
        ("So, we add 3 to it", ["So", "So,", "So, we", "So, we add"]),
        ("Let me see, 3", ["Let", "Let me", "Let me see", "Let me see,"]),
        ("Okay.", ["Okay"]),
        ("Wait! No", ["Wait"]),
        ("Let's go-ahead now", ["Let's", "Let's go-ahead", "Let's go-ahead now"]),
        ("3 apples", []),
        ("x^2 is", []),
        ("", []),
        ("Donc, on a", ["Donc", "Donc,", "Donc, on", "Donc, on a"]),
        ("Поэтому мы можем", ["Поэтому", "Поэтому мы", "Поэтому мы можем"]),
        ("इसलिए हम", ["इसलिए", "इसलिए हम"]),
        ("所以，我们", ["所", "所以", "所以，"]),
        ("因此这个数是", ["因", "因此", "因此这", "因此这个"]),
        ("لذلك، نحن", ["لذلك", "لذلك،", "لذلك، نحن"]),
    ],
)
def test_openers_in_any_language(head: str, found: list[str]) -> None:
    assert list(openers(head)) == found


def candidates(texts: list[str], **options: int) -> list[Candidate]:
    sentences = find_sentences([PIECE.findall(text) for text in texts])
    return discover(
        sentences, np.arange(len(texts)), **{"min_count": 2, "min_questions": 2, **options}
    )


def test_frequent_openers_of_distinct_questions() -> None:
    texts = ["So, we win. But I see. So it is.", "So, we lose. But you know. Never. Never. Never."]
    found = {c.text: (c.count, c.questions) for c in candidates(texts)}
    # "So, we" follows "So," always, and "Never" is of one question.
    assert found == {"So": (3, 2), "So,": (2, 2), "But": (2, 2)}
    assert [c.text for c in candidates(texts, most=1)] == ["So"]


def test_a_shorter_form_that_never_occurs_alone_is_left_out() -> None:
    texts = ["So, we win. So, I see.", "So, we lose. So, you know."]
    assert [c.text for c in candidates(texts)] == ["So,", "So, we"]
