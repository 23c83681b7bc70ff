"""The stories: repeatable, right, and apart from each other."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from training.heldout import heldout_keys, plain_problems, unseen_problems
from training.stories import Problem, draw_problem, draw_split, text_key
from training.words import unseen_words

# What the verbs of the stories mean, written down a second time, from the reader's side.
_GAINS = [
    "buys",
    "finds",
    "gets",
    "wins",
    "receives",
    "picks",
    "collects",
    "orders",
    "given",
    "brings",
    "earns",
    "paid",
]
_LOSSES = [
    "gives",
    "sells",
    "loses",
    "throws",
    "lends",
    "uses",
    "drops",
    "sends",
    "leaves",
    "hands",
    "spends",
    "pays",
]
_TIMES = ["trades", "makes", "swaps", "turns"]
_SHARES = ["splits", "shares", "packs", "divides"]
_IDLE = ["walks", "reads", "waits", "counts", "sings", "climbs"]


def _solve(problem: Problem) -> Fraction:
    """Answers a question from its text alone, the person's name given."""
    *sentences, question = re.split(r"(?<=[.?])\s+", problem.question)
    values: dict[str, Fraction] = {}
    holder = problem.person.name
    last_subject = holder
    for sentence in sentences:
        number = Fraction(re.findall(r"\d+(?:\.\d\d)?", sentence)[0])
        _, comma, rest = sentence.partition(", ")
        if not comma:
            name = next(n for n in (problem.person.name, problem.other.name) if n in sentence)
            if problem.money or problem.things in sentence:
                values[name] = number
            continue
        subject, *words = re.sub(r"^a \w+ named ", "", rest).split()
        subject = last_subject if subject in ("she", "he") else subject
        last_subject = subject
        verb = words[1] if words[0] == "is" else words[0]
        if subject != holder or verb in _IDLE:
            continue
        value = values[holder]
        if verb in _GAINS:
            value += number
        elif verb in _LOSSES:
            value -= number
        elif verb in _TIMES:
            value *= number
        elif verb in _SHARES:
            value /= number
        else:
            pytest.fail(f"unknown verb {verb!r} in {sentence!r}")
        values[holder] = value
    if " more " in question or " fewer " in question:
        gap = values[holder] - values[problem.other.name]
        assert (gap > 0) == (" more " in question)
        return abs(gap)
    return values[holder]


@pytest.mark.parametrize("split", ["train", "test", "unseen"])
def test_answers_agree_with_a_second_reading_of_the_text(split: str) -> None:
    for index in range(500):
        problem = draw_problem(1, split, index, unseen=split == "unseen")
        answer = _solve(problem)
        assert answer == Fraction(problem.answer), problem.question
        assert answer > 0


def test_a_problem_is_drawn_again_alike() -> None:
    for index in range(50):
        assert draw_problem(3, "train", index) == draw_problem(3, "train", index)
    assert draw_problem(3, "train", 0) != draw_problem(4, "train", 0)


def test_money_has_two_decimals_and_counts_have_none() -> None:
    for problem in plain_problems():
        assert re.fullmatch(r"\d+\.\d\d" if problem.money else r"\d+", problem.answer)


def test_splits_share_no_text() -> None:
    keys = [text_key(p.question) for p in (*plain_problems(), *unseen_problems())]
    assert len(set(keys)) == len(keys) == 600
    train = {text_key(p.question) for p in draw_split(0, "train", 3000, avoid=heldout_keys())}
    assert train.isdisjoint(keys)


def test_a_text_key_ignores_case_spacing_and_punctuation() -> None:
    assert text_key("Mia has 3 apples.") == text_key("  mia HAS 3   apples ")
    assert text_key("Mia has 3 apples.") != text_key("Mia has 4 apples.")


def test_unseen_problems_use_words_that_training_never_draws() -> None:
    unseen = unseen_words()
    for problem in unseen_problems():
        assert {problem.person.name, problem.other.name} <= unseen
        assert problem.money or problem.things in unseen
    for index in range(3000):
        words = set(re.findall(r"\w+", draw_problem(0, "train", index).question))
        assert words.isdisjoint(unseen)
