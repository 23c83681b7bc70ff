"""Whether a question is one that the embedded pair can know anything about."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from relaygen import demo_models

KNOWN_SHARE: Final = 0.7
"""Of the words that are no names: stories with things and names that training never saw have
more than this, English prose has less."""

_MIN_NUMBERS: Final = 2
_MIN_WORDS: Final = 8
_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NUMBER: Final = re.compile(r"\d+")


def looks_like_a_story(question: str) -> bool:
    """A rough test: long enough, two numbers, a question mark, words that the pair has seen.

    Example:
        ```python
        from relaygen import demo_models
        from relaygen.cli.scope import looks_like_a_story

        assert looks_like_a_story(demo_models.problems()[0].question)
        assert not looks_like_a_story("What is the capital of France?")
        ```
    """
    words = [word for word in _WORD.findall(question) if not _is_name(word)]
    if len(_NUMBER.findall(question)) < _MIN_NUMBERS or len(words) < _MIN_WORDS:
        return False
    known = sum(word.lower() in _vocabulary() for word in words)
    return "?" in question and known / len(words) >= KNOWN_SHARE


@cache
def _vocabulary() -> frozenset[str]:
    questions = (problem.question for problem in demo_models.problems())
    return frozenset(w.lower() for q in questions for w in _WORD.findall(q))


def _is_name(word: str) -> bool:
    return word[0].isupper() and word.lower() not in _vocabulary()
