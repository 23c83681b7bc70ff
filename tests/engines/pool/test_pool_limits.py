from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.base import GenerateRequest
from relaygen.engines.pool import PoolOptions
from relaygen.errors import EngineUnavailableError, InvalidRequestError
from tests.engines.pool.pools import DECODE_S, SCRIPT, Pool, leg, write
from tests.engines.pool.virtual import now, run


async def finished(pool: Pool, request: GenerateRequest, into: list[str]) -> None:
    await write(pool, request)
    into.append(request.generation_id)


def test_legs_wait_in_turn_and_those_that_go_on_come_first() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1)
        done: list[str] = []
        async with asyncio.TaskGroup() as tasks:
            for name in ("runs", "new 1", "new 2"):
                tasks.create_task(finished(pool, leg((), 5, name), done))
                await asyncio.sleep(0)
            tasks.create_task(finished(pool, leg((1, 2), 5, "goes on"), done))
            await asyncio.sleep(0)
            assert pool.engine.load().queued == 3
            assert pool.engine.load().in_flight == 1
            assert pool.engine.is_busy(2)
            assert not pool.engine.is_busy(3)
        assert done == ["runs", "goes on", "new 1", "new 2"]
        counts = pool.engine.counts()
        assert (counts.queued, counts.queue_waits) == (0, 3)
        assert counts.queue_wait_s == pytest.approx(5 * DECODE_S * (1 + 2 + 3), abs=0.01)

    run(scene())


def test_a_full_queue_refuses_new_generations_and_only_those() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1, queue=1)
        tasks = [asyncio.create_task(write(pool, leg((), 5, str(i)))) for i in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(EngineUnavailableError, match="busy") as raised:
            await write(pool, leg((), 5, "new"))
        assert not raised.value.retryable
        assert await write(pool, leg((1, 2), 3, "goes on")) == (3, 4, 5)
        await asyncio.gather(*tasks)
        assert pool.engine.counts().refused == 1

    run(scene())


def test_a_leg_that_waits_too_long_is_given_up() -> None:
    async def scene() -> None:
        pool = Pool("AB", concurrency=1, wait_s=0.2)
        tasks = [asyncio.create_task(write(pool, leg((), 40, str(i)))) for i in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(
            EngineUnavailableError, match=r"no replica for 0.2 s: of 2, 2 .* 0 other"
        ):
            await write(pool, leg((1,), 5, "waits"))
        assert now() == pytest.approx(0.2)
        assert {len(text) for text in await asyncio.gather(*tasks)} == {40}
        assert await write(pool, leg((), 1)) == (1,)

    run(scene())


@settings(max_examples=25)
@given(
    legs=st.lists(
        st.tuples(st.integers(0, 300), st.integers(1, 20), st.integers(0, 400)), max_size=15
    ),
    concurrency=st.integers(1, 3),
)
def test_no_replica_has_too_many_legs_and_no_place_is_lost(
    legs: list[tuple[int, int, int]], concurrency: int
) -> None:
    async def one(pool: Pool, number: int, start: int, size: int, patience: int) -> None:
        await asyncio.sleep(start / 1000)
        try:
            async with asyncio.timeout(patience / 1000):
                assert await write(pool, leg((), size, str(number))) == SCRIPT[:size]
        except TimeoutError:
            pass

    async def scene() -> None:
        pool = Pool("AB", concurrency=concurrency)
        highest = 0

        async def watch() -> None:
            nonlocal highest
            while True:
                active = [r.engine.counters.active_legs for r in pool.replicas.values()]
                highest = max(highest, *active)
                await asyncio.sleep(0.001)

        watching = asyncio.create_task(watch())
        await asyncio.gather(*(one(pool, i, *each) for i, each in enumerate(legs)))
        watching.cancel()
        assert highest <= concurrency
        load = pool.engine.load()
        assert (load.in_flight, load.queued) == (0, 0)
        texts = await asyncio.gather(
            *(write(pool, leg((), 3, f"after {i}")) for i in range(2 * concurrency + 2))
        )
        assert set(texts) == {(1, 2, 3)}

    run(scene())


def test_closing_a_leg_stops_its_replica_at_once_and_frees_its_place() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1)
        async with aclosing(pool.engine.generate(leg())) as outputs:
            await anext(outputs)
            assert pool.engine.load().in_flight == 1
        assert pool["A"].engine.counters.active_legs == 0
        assert pool.engine.load().in_flight == 0
        assert pool.states == {"A": "UP"}
        never = pool.engine.generate(leg())
        await never.aclose()
        assert len(pool["A"].legs) == 1

    run(scene())


def test_a_hint_takes_no_leg_s_place() -> None:
    async def scene() -> None:
        pool = Pool("A", concurrency=1)
        task = asyncio.create_task(write(pool, leg()))
        await asyncio.sleep(DECODE_S)
        await pool.engine.prefill((1, 2), "other")
        assert not pool["A"].prefills
        await task
        await pool.engine.prefill((1, 2), "other")
        assert pool["A"].prefills == ["other"]
        pool["A"].alive = False
        await pool.engine.prefill((1, 2), "other")  # only a hint

    run(scene())


@pytest.mark.parametrize(
    "bad",
    [{"concurrency": 0}, {"queue": -1}, {"balance": 0.5}, {"wait_s": float("nan")}],
)
def test_limits_that_make_no_sense_are_refused_by_name(bad: dict[str, float]) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        PoolOptions(**bad)  # type: ignore[arg-type]
    assert raised.value.param == next(iter(bad))
