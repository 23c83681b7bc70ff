from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaygen import demo_models
from relaygen.datasets import Question, check_apart, normalised, overlaps, text_hash
from relaygen.errors import DatasetError

LONG = "A farmer has 12 sheep and 30 goats. He sells a third of the sheep on Monday. How many are left?"


def asked(text: str, name: str = "q") -> Question:
    return Question(id=name, question=text)


@pytest.mark.parametrize(
    "other",
    [
        LONG.upper(),
        LONG.replace(" ", "\n\n"),
        LONG.replace("12", "\uff11\uff12"),
        f"**{LONG}**",
        LONG.replace("?", " ?"),
    ],
)
def test_form_does_not_tell_questions_apart(other: str) -> None:
    assert text_hash(LONG) == text_hash(other)
    assert [o.shared for o in overlaps([asked(other)], [asked(LONG)])] == [1.0]


@given(st.text())
def test_normalising_twice_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


def test_an_appended_instruction_is_seen_through() -> None:
    longer = LONG + " Please reason step by step, and put your final answer in a box at the end."
    (found,) = overlaps([asked(longer)], [asked("Something else entirely?"), asked(LONG, "e")])
    assert found.evaluation.id == "e"
    assert overlaps([asked(LONG)], [asked(longer)])


def test_scripts_without_spaces_are_compared_by_characters() -> None:
    question = "小明有十二个苹果，他在星期一又买了三十个，然后送给朋友一半，现在还剩下多少个苹果？"
    assert overlaps([asked(question.replace("三十", "五十"))], [asked(question)])
    other = "一辆火车以每小时六十公里的速度行驶了三个小时，请问它一共行驶了多少公里的路程？"
    assert not overlaps([asked(other)], [asked(question)])


def test_other_questions_of_one_kind_stay_apart() -> None:
    known = [asked(p.question, p.id) for p in demo_models.problems()]
    assert not overlaps(known[:100], known[100:])


def test_short_questions_are_compared_exactly_only() -> None:
    assert not overlaps([asked("What is 2 + 2?")], [asked("What is 2 + 3?")])
    assert not overlaps([asked("What is 2 + 2?")], [asked("What is 2 / 2?")])
    assert overlaps([asked("What is 2 + 2?")], [asked("what is 2+2")])


def test_an_overlap_is_refused_with_both_ids() -> None:
    with pytest.raises(DatasetError, match=r"1 of 2 .*'mine' is equal to 'theirs'"):
        check_apart([asked(LONG, "mine"), asked("x", "y")], [asked(LONG, "theirs")], "test.jsonl")
    check_apart([asked(LONG)], [asked("x")], "test.jsonl")
