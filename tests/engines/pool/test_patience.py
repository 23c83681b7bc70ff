from __future__ import annotations

import asyncio

import pytest

from relaygen.errors import EngineError, EngineUnavailableError
from tests.engines.pool.pools import SCRIPT, Pool, leg, write, write_on
from tests.engines.pool.virtual import now, run


def test_a_leg_waits_for_a_pool_that_comes_back() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30.0)
        for replica in pool.replicas.values():
            replica.alive = False
        task = asyncio.create_task(write_on(pool))
        await asyncio.sleep(12.0)
        assert pool.engine.load().usable == 0
        assert pool.engine.is_busy(1000)
        pool["B"].alive = True
        assert await task == (*range(1, 41), 0)
        assert now() < 30.0
        assert not pool.engine.is_busy(0)

    run(scene())


def test_a_leg_waits_less_for_a_pool_that_is_gone_than_for_one_that_is_busy() -> None:
    async def scene() -> None:
        pool = Pool("AB", concurrency=1, wait_s=30.0, gone_s=2.0)
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(14)]
        await asyncio.sleep(0)
        assert await write(pool, leg((), 1, "waits")) == (1,)
        assert now() > 2.0
        await asyncio.gather(*tasks)
        for replica in pool.replicas.values():
            replica.alive = False
        began = now()
        with pytest.raises(EngineUnavailableError, match="no replica"):
            await write_on(pool)
        assert 2.0 < now() - began < 3.0

    run(scene())


def test_those_who_wait_for_a_trial_go_on_at_its_first_token() -> None:
    async def scene() -> None:
        pool = Pool("A")
        pool["A"].alive = False
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(9)]
        await asyncio.sleep(2.5)
        pool["A"].alive = True
        first = asyncio.create_task(asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))
        await first
        began = now()
        await asyncio.gather(*tasks)
        assert now() - began < 0.1

    run(scene())


def test_a_pool_that_stays_away_is_given_up_in_time() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30.0)
        for replica in pool.replicas.values():
            replica.alive = False
        with pytest.raises(EngineUnavailableError) as raised:
            await write(pool, leg())
        assert not raised.value.retryable
        assert 29.0 < now() < 32.0
        assert pool.engine.counts().gave_up == 1
        assert sum(len(r.legs) for r in pool.replicas.values()) < 20

    run(scene())


def test_a_leg_that_begins_waits_less_for_a_pool_that_is_gone() -> None:
    async def scene() -> None:
        pool = Pool("AB", wait_s=30, begin_gone_s=5)
        pool["A"].alive = pool["B"].alive = False
        waited = []
        for written in ((), SCRIPT[:5]):
            began = now()
            with pytest.raises(EngineUnavailableError, match=r"for (\d+)") as raised:
                await write(pool, leg(written))
            assert not raised.value.retryable
            waited.append(now() - began)
        assert waited == [pytest.approx(5, abs=1), pytest.approx(30, abs=1)]

    run(scene())


def test_a_leg_that_waits_for_a_busy_pool_waits_less_once_that_is_gone() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1, wait_s=30, begin_gone_s=5, eject_after=1, ejected_s=60)
        writing = asyncio.create_task(write(pool, leg(generation_id="0#x")))
        waiting = asyncio.create_task(write(pool, leg(generation_id="1#x")))
        going_on = asyncio.create_task(write(pool, leg(SCRIPT[:5], generation_id="2#x")))
        await asyncio.sleep(0.1)
        pool["A"].alive = False
        with pytest.raises(EngineError):
            await writing
        began = now()
        with pytest.raises(EngineUnavailableError):
            await waiting
        assert now() - began == pytest.approx(5, abs=1)
        with pytest.raises(EngineUnavailableError):
            await going_on
        assert now() == pytest.approx(30, abs=1)

    run(scene())
