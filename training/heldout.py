"""The held-out problems: never trained on, and the same for everyone.

Their texts differ from every training text after case, spacing and punctuation are taken away; the second set also
uses only names and things that training never sees.
"""

from __future__ import annotations

from functools import cache

from training.stories import Problem, draw_split, text_key

HELDOUT_SEED = 20260
TEST_COUNT, UNSEEN_COUNT, CALIBRATION_COUNT = 500, 100, 400


@cache
def plain_problems() -> tuple[Problem, ...]:
    """The 500 held-out problems."""
    return tuple(draw_split(HELDOUT_SEED, "test", TEST_COUNT))


@cache
def unseen_problems() -> tuple[Problem, ...]:
    """100 held-out problems with names and things that training never sees."""
    return tuple(draw_split(HELDOUT_SEED, "unseen", UNSEEN_COUNT, unseen=True))


@cache
def calibration_problems() -> tuple[Problem, ...]:
    """400 problems to profile the pair with; none is held out, some may have been trained on."""
    return tuple(draw_split(HELDOUT_SEED, "calibration", CALIBRATION_COUNT, avoid=heldout_keys()))


@cache
def heldout_keys() -> frozenset[str]:
    """The text keys of all held-out problems, for training to avoid."""
    return frozenset(text_key(p.question) for p in (*plain_problems(), *unseen_problems()))
