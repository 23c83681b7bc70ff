"""The limit of working in sequence."""

import pytest

from relaygen.planning import Costs, Reading, limit, reading_of
from relaygen.types import ModelRole

L, S = ModelRole.LARGE, ModelRole.SMALL


def test_a_model_never_reads_what_comes_after_its_last_segment() -> None:
    reading = reading_of(10, [(L, 5), (S, 7), (L, 3), (S, 20)])
    assert reading == Reading(
        prompt=10, large_written=8, small_written=27, small_reads=8, large_reads=7
    )


def test_large_alone_is_its_own_limit() -> None:
    assert (
        limit(reading_of(10, [(L, 5), (L, 50)]), Costs(write=3, read=1), Costs(write=1, read=1))
        == 1
    )


def test_with_free_reading_the_limit_is_amdahls_law() -> None:
    costs = Costs(write=20, read=0), Costs(write=2, read=0)
    share = 0.6
    reading = reading_of(100, [(L, 40), (S, 60)])
    assert limit(reading, *costs) == pytest.approx(1 / ((1 - share) + share / 10))


def test_reading_costs() -> None:
    large, small = Costs(write=10, read=2), Costs(write=1, read=0.5)
    reading = reading_of(4, [(L, 10), (S, 10), (L, 1)])
    alone = 4 * 2 + 21 * 10
    relay = 4 * 2.5 + 11 * 10 + 10 * 1 + 10 * 0.5 + 10 * 2
    assert limit(reading, large, small) == pytest.approx(alone / relay)
