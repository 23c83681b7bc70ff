from __future__ import annotations

import asyncio

import pytest

from relaygen.engines.deadlines import LegDeadlineError
from relaygen.engines.simulated import Fault
from tests.engines.pool.pools import Pool, leg, write, write_into
from tests.engines.pool.virtual import now, run


def test_a_first_token_that_does_not_come_moves_the_leg() -> None:
    async def scene() -> None:
        pool = Pool("AB", faults={"A": Fault(kind="stall")}, first_token_s=5.0, eject_after=9)
        for i in range(6):
            assert await write(pool, leg((), 3, str(i))) == (1, 2, 3)
        late = pool.engine.counts().replicas[0].failures["first_token_s"]
        assert late > 0
        assert now() == pytest.approx(5.0 * late, abs=1.0)
        assert pool["A"].engine.counters.active_legs == 0

    run(scene())


@pytest.mark.parametrize(
    ("options", "deadline", "tokens", "seconds"),
    [
        ({"between_tokens_s": 2.0}, "between_tokens_s", 7, 2.07),
        ({"between_tokens_s": 2.0, "leg_s": 1.0}, "leg_s", 7, 1.0),
        ({"leg_s": 0.055}, "leg_s", 5, 0.055),
    ],
)
def test_each_deadline_is_named(
    options: dict[str, float], deadline: str, tokens: int, seconds: float
) -> None:
    async def scene() -> None:
        pool = Pool("A", faults={"A": Fault(kind="stall", after=7)}, **options)
        written: list[int] = []
        with pytest.raises(LegDeadlineError, match=rf"replica A .* \({deadline}\)") as raised:
            await write_into(pool, leg(), written)
        assert raised.value.deadline == deadline
        assert raised.value.retryable
        assert len(written) == tokens
        assert now() == pytest.approx(seconds, abs=0.02)
        assert pool["A"].engine.counters.active_legs == 0
        assert pool.engine.load().in_flight == 0
        assert dict(pool.engine.counts().replicas[0].failures) == {deadline: 1}

    run(scene())


def test_a_slow_reader_breaks_no_deadline() -> None:
    async def scene() -> None:
        pool = Pool("A", first_token_s=1.0, between_tokens_s=1.0, leg_s=1.0)
        async for _ in pool.engine.generate(leg()):
            await asyncio.sleep(60.0)
        assert not pool.engine.counts().replicas[0].failures

    run(scene())
