"""``relaygen demo``: the show, the verdicts and the table, on engines that recite."""

from __future__ import annotations

import pytest

from relaygen import demo_models
from relaygen.cli.demo_trials import POLICIES

from .conftest import Cli, Recite
from .simulated import ANSWER


def test_demo_streams_compares_and_says_what_is_next(cli: Cli) -> None:
    ran = cli("demo", "--problems", "2", "--seed", "4")
    assert ran.code == 0
    assert ran.err == ""
    assert ran.out.count(ANSWER) == 2
    assert ran.out.count("expected") == 2
    for shown in ("large alone", "small alone", "relay", "0 of 2", "tokens/s", "on 2 problems"):
        assert shown in ran.out
    assert "relaygen run" in ran.out


def test_roles_are_legible_without_colour(cli: Cli) -> None:
    out = cli("demo", "--problems", "1").out
    assert "\x1b" not in out
    assert "So,‹ she buys 58 more and the two numbers add up.›" in out


def test_equal_seeds_pick_equal_problems(cli: Cli) -> None:
    def questions(*arguments: str) -> list[str]:
        out = cli("demo", "--problems", "2", *arguments).out
        return [line for line in out.splitlines() if line.startswith("[")]

    assert questions("--seed", "1") == questions("--seed", "1")
    assert questions("--seed", "1") != questions("--seed", "2")


def test_right_answers_are_counted(cli: Cli, recite: Recite) -> None:
    import random

    problem = random.Random(0).sample(demo_models.problems(), 1)[0]
    recite(f"So, it is that.\n</think>\n\n\\boxed{{{problem.answer}}}")
    out = cli("demo", "--problems", "1").out
    assert "large right, small right, relay right" in out
    assert out.count("1 of 1") == len(POLICIES)


@pytest.mark.parametrize("problems", ["0", "101", "x"])
def test_bad_numbers_are_refused(cli: Cli, problems: str) -> None:
    ran = cli("demo", "--problems", problems)
    assert (ran.code, ran.err.count("\n"), ran.out) == (2, 1, "")
