"""Which questions are told that the embedded pair knows nothing of them."""

from __future__ import annotations

import pytest

from relaygen import demo_models
from relaygen.cli import scope


def test_every_problem_of_the_pair_is_in_scope() -> None:
    for problem in demo_models.problems() + demo_models.problems(unseen=True):
        assert scope.looks_like_a_story(problem.question), problem.question


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "What is 17 * 24?",
        "Write a poem about 2 cats and 3 dogs.",
        "A train leaves Chicago at 60 miles per hour and another leaves New York at 80 miles per "
        "hour. When do they meet, if the cities are 790 miles apart?",
        "Explain in 3 sentences how the 2 world wars changed the way people lived in Europe?",
        "Solve x^2 - 5x + 6 = 0 for x, and show each of the steps that you take on the way?",
        "1 2 3 4 5 6 7 8 9 10?",
        "Сколько будет 347 яблок и ещё 58 яблок, если их сложить вместе за один раз?",
        "",
    ],
)
def test_other_questions_are_not(question: str) -> None:
    assert not scope.looks_like_a_story(question)


def test_a_story_of_ones_own_is() -> None:
    assert scope.looks_like_a_story(
        "Zoë has 12 apples. She buys 30 more apples at the market. How many apples does Zoë have?"
    )
