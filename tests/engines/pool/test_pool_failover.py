from __future__ import annotations

import asyncio
from typing import Any

import pytest

from relaygen.engines.base import EngineOutput
from relaygen.engines.simulated import Fault
from relaygen.errors import EngineError, EngineUnavailableError, InvalidRequestError
from tests.engines.pool.pools import (
    END,
    PROMPT,
    SCRIPT,
    Mortal,
    Pool,
    leg,
    scripted,
    write,
    write_into,
)
from tests.engines.pool.virtual import run

WHOLE = (*SCRIPT, END)


def test_a_leg_that_breaks_before_its_first_token_is_begun_elsewhere_unnoticed() -> None:
    async def scene() -> None:
        for broken in "ABC":
            pool = Pool("ABC", faults={broken: Fault(kind="fail")})
            assert await write(pool, leg()) == WHOLE

    run(scene())


def test_a_leg_that_breaks_later_is_its_caller_s_to_go_on_with() -> None:
    async def scene() -> None:
        once = {0: Fault(kind="fail", after=7)}
        pool = Pool("AB", faults={"A": once, "B": once})
        written: list[int] = []
        with pytest.raises(EngineError) as raised:
            await write_into(pool, leg(), written)
        assert raised.value.retryable
        assert tuple(written) == SCRIPT[:7]
        with pytest.raises(EngineError):
            await write_into(pool, leg(written), written)
        assert tuple(written) == SCRIPT[:14]
        assert (*written, *await write(pool, leg(written))) == WHOLE
        assert [len(r.legs) for r in pool.replicas.values()] in ([1, 2], [2, 1])

    run(scene())


def test_a_generation_stays_where_it_went_until_it_is_forgotten() -> None:
    async def scene() -> None:
        pool = Pool("AB")
        await write(pool, leg())
        [home] = pool.users("g")
        pool[home].alive = False
        await write(pool, leg())
        pool[home].alive = True
        tried = len(pool[home].legs)
        await write(pool, leg())
        assert len(pool[home].legs) == tried
        pool.engine.forget("g")
        pool.engine.forget("never heard of")
        await write(pool, leg())
        assert len(pool[home].legs) == tried + 1

    run(scene())


def test_what_no_repeat_may_help_is_raised_as_it_is() -> None:
    async def scene() -> None:
        pool = Pool("AB", faults=dict.fromkeys("AB", Fault(kind="fail", retryable=False)))
        with pytest.raises(EngineError, match="as it was told to"):
            await write(pool, leg())
        assert len(pool.users("g")) == 1
        assert set(pool.states.values()) == {"UP"}
        with pytest.raises(InvalidRequestError):
            await write(pool, leg((999,)))
        assert len(pool.users("g")) == 1

    run(scene())


def test_scores_are_asked_for_again_elsewhere() -> None:
    async def scene() -> None:
        pool = Pool("ABC", eject_after=1)
        expected = await Pool("A").engine.score((*PROMPT, 1, 2), 3)
        for name in "AB":
            pool[name].alive = False
        for i in range(5):
            got = await pool.engine.score((*PROMPT, 1, 2), 3, generation_id=str(i))
            assert got == expected
        assert pool.states == {"A": "EJECTED", "B": "EJECTED", "C": "UP"}
        for name in "AB":
            pool[name].alive = True
        await asyncio.sleep(1.0)
        for i in range(5, 15):
            await pool.engine.score((*PROMPT, 1, 2), 3, generation_id=str(i))
        assert set(pool.states.values()) == {"UP"}

    run(scene())


def test_a_replica_that_stops_without_a_word_has_failed() -> None:
    class Silent(Mortal):
        async def generate(self, request: object) -> Any:
            for _ in ():
                yield EngineOutput(())

    async def scene() -> None:
        pool = Pool([Silent("A", scripted()), Mortal("B", scripted())])
        for i in range(6):
            assert await write(pool, leg((), 2, str(i))) == (1, 2)
        assert pool.engine.counts().replicas[0].failures["failed"] == 3

    run(scene())


def test_closing_a_pool_ends_what_runs_and_what_waits() -> None:
    async def scene() -> None:
        pool = Pool("AB", concurrency=1, probes=True)
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(5)]
        await asyncio.sleep(0.05)
        await asyncio.gather(pool.engine.aclose(), pool.engine.aclose())
        for task in tasks:
            with pytest.raises(EngineUnavailableError):
                await task
        assert pool.engine.load().in_flight == 0
        for call in (write(pool, leg()), pool.engine.prefill((1,)), pool.engine.score((1, 2), 1)):
            with pytest.raises(EngineUnavailableError):
                await call

    run(scene())


def test_closing_one_replica_that_fails_to_close_closes_the_others() -> None:
    class Stuck(Mortal):
        async def aclose(self) -> None:
            raise OSError("the socket is gone")

    async def scene() -> None:
        others = [Mortal(name, scripted()) for name in "BC"]
        pool = Pool([Stuck("A", scripted()), *others])
        with pytest.raises(OSError, match="socket"):
            await pool.engine.aclose()
        for other in others:
            with pytest.raises(EngineUnavailableError):
                await other.prefill((1,))

    run(scene())
