"""Whole generations over two pools whose replicas die, break legs off and hang.

The clock is virtual, so that hours of outage cost nothing; a run that hangs is a `HangError`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaygen.engines.simulated import Fault, ScriptedModel
from relaygen.runner import RelayRun, Result
from relaygen.types import FinishReason, ModelRole
from tests.engines.pool.pools import Mortal, Pool
from tests.engines.pool.virtual import run
from tests.relay.driving import LARGE, SMALL
from tests.relay.scenes import END, SHORT, Scene
from tests.runner.relaying import model, turns

SENTENCES = ["We", " try", ".", " So,", " it", " fits", ".", " Now", " x", "!", " Hm", "."]
SHARED = Scene([*SENTENCES, *SENTENCES, " So,", "☃", ".", END, " 2", "."], config=SHORT, seed=7)
SCENES = {
    "shared words": SHARED,
    "own words": replace(SHARED, small={4: " we", 5: " go", 8: " y", 28: " 3"}),
    "long": replace(SHARED, script=[*SENTENCES * 10, END, " 2", "."]),
}
PLAYED = {name: scene.play() for name, scene in SCENES.items()}
FOR_EVER = 1e6


@dataclass(frozen=True)
class Outage:
    role: ModelRole
    replica: str
    begins_s: float
    lasts_s: float


@dataclass(frozen=True)
class Break:
    role: ModelRole
    replica: str
    leg: int
    fault: Fault


roles, names = st.sampled_from([LARGE, SMALL]), st.sampled_from("ABC")
outages = st.lists(
    st.builds(Outage, roles, names, st.floats(0, 1), st.floats(0.001, 40)), max_size=8
)
breaks = st.lists(
    st.builds(
        Break,
        roles,
        names,
        st.integers(0, 12),
        st.builds(Fault, kind=st.sampled_from(["fail", "stall"]), after=st.integers(0, 4)),
    ),
    max_size=8,
)


@cache
def model_of(scene: str, role: ModelRole) -> ScriptedModel:
    return model(SCENES[scene], role, 0.9)


def open_pool(scene: str, role: ModelRole, broken: Sequence[Break], **options: float) -> Pool:
    def faults(name: str) -> Mapping[int, Fault]:
        return {b.leg: b.fault for b in broken if (b.role, b.replica) == (role, name)}

    limits = {"first_token_s": 2.0, "between_tokens_s": 1.0, "concurrency": 2, "attempts": 99}
    replicas = [Mortal(name, model_of(scene, role), faults(name)) for name in "ABC"]
    return Pool(replicas, probes=True, health_interval_s=3.0, **{**limits, **options})


async def happen(pools: Mapping[ModelRole, Pool], outage: Outage) -> None:
    await asyncio.sleep(outage.begins_s)
    replica = pools[outage.role][outage.replica]
    replica.alive = False
    await asyncio.sleep(outage.lasts_s)
    replica.alive = True


async def results(
    scene: str,
    outages: Sequence[Outage],
    broken: Sequence[Break],
    *,
    small_wait_s: float,
    may_leave_out: bool = False,
    generations: int = 3,
) -> list[Result]:
    pools = {
        LARGE: open_pool(scene, LARGE, broken, wait_s=FOR_EVER),
        SMALL: open_pool(scene, SMALL, broken, wait_s=small_wait_s),
    }
    engines = {role: pool.engine for role, pool in pools.items()}
    busy = partial(engines[SMALL].is_busy, 1) if may_leave_out else None
    happening = [asyncio.create_task(happen(pools, outage)) for outage in outages]
    runs = [
        RelayRun(SCENES[scene].machine(), engines, generation_id=f"run {i}", small_busy=busy)
        for i in range(generations)
    ]
    try:
        return await asyncio.gather(*(running.complete() for running in runs))
    finally:
        for task in happening:
            task.cancel()
        await asyncio.gather(*happening, return_exceptions=True)
        for pool in pools.values():
            await asyncio.sleep(0)
            assert pool.engine.load().in_flight == 0
            assert {r.engine.counters.active_legs for r in pool.replicas.values()} == {0}
            await pool.engine.aclose()


@settings(max_examples=12)
@given(outages, breaks, st.booleans())
def test_whatever_breaks_the_text_is_that_of_a_run_in_which_nothing_did(
    outages: list[Outage], broken: list[Break], may_leave_out: bool
) -> None:
    played = PLAYED["shared words"]
    lost = [Outage(SMALL, name, 0.4, FOR_EVER) for name in "ABC"]
    for more in ([], lost):
        found = run(
            results(
                "shared words",
                outages + more,
                broken,
                small_wait_s=1.0,
                may_leave_out=may_leave_out,
            )
        )
        for result in found:
            assert result.text == played.text
            assert (result.reasoning, result.answer) == (played.reasoning, played.answer)
            assert result.usage == played.machine.usage
            assert result.finish_reason is FinishReason.STOP


@settings(max_examples=12)
@given(outages, breaks)
def test_a_small_pool_that_comes_back_in_time_writes_its_own_part(
    outages: list[Outage], broken: list[Break]
) -> None:
    expected = PLAYED["own words"]
    for result in run(results("own words", outages, broken, small_wait_s=FOR_EVER)):
        assert turns(result) == expected.turns
        assert result.text == expected.text
        assert result.trace.repeatable is (result.trace.failovers == 0)


def test_replicas_dying_all_the_time_cost_long_generations_nothing() -> None:
    async def hunt(pool: Pool) -> None:
        replicas = pool.replicas.values()
        while True:
            await asyncio.sleep(0.045)
            busiest = max(replicas, key=lambda r: r.engine.counters.active_legs)
            for replica in replicas:
                replica.alive = replica is not busiest

    async def scene() -> list[Result]:
        pools = {r: open_pool("long", r, (), wait_s=FOR_EVER) for r in (LARGE, SMALL)}
        hunting = [asyncio.create_task(hunt(pool)) for pool in pools.values()]
        engines = {role: pool.engine for role, pool in pools.items()}
        runs = [
            RelayRun(SCENES["long"].machine(), engines, generation_id=f"run {i}") for i in range(3)
        ]
        found = await asyncio.gather(*(running.complete() for running in runs))
        for task in hunting:
            task.cancel()
        for pool in pools.values():
            await pool.engine.aclose()
        return found

    found = run(scene())
    assert [turns(result) for result in found] == [PLAYED["long"].turns] * 3
    assert sum(result.trace.failovers for result in found) > 3 * 2  # more than `max_retries`


@pytest.mark.parametrize("tokens", [1, 0])
def test_only_attempts_without_a_token_are_counted(tokens: int) -> None:
    stalls = [
        Break(LARGE, name, number, Fault(kind="stall", after=tokens))
        for name in "ABC"
        for number in range(200)
    ]

    async def scene() -> tuple[Result, int]:
        limits = {"wait_s": FOR_EVER, "attempts": 3, "eject_after": 10**6}
        pools = {
            LARGE: open_pool("long", LARGE, stalls, **limits),
            SMALL: open_pool("long", SMALL, (), **limits),
        }
        engines = {role: pool.engine for role, pool in pools.items()}
        result = await RelayRun(SCENES["long"].machine(), engines, generation_id="run").complete()
        failed = sum(
            sum(replica.failures.values()) for replica in pools[LARGE].engine.counts().replicas
        )
        for pool in pools.values():
            await pool.engine.aclose()
        return result, failed

    result, failed = run(scene())
    if tokens:
        assert turns(result) == PLAYED["long"].turns
        assert failed == result.trace.failovers > 10
    else:
        assert result.finish_reason is FinishReason.ERROR
        assert "before its first token 3 times" in (result.error or "")
        assert "(first_token_s)" in (result.error or "")
        assert failed == 3


def test_a_trace_names_the_replica_of_every_leg() -> None:
    broken = [Break(LARGE, name, 0, Fault(kind="fail", after=2)) for name in "AB"]

    async def scene() -> tuple[Result, int]:
        pools = {r: open_pool("shared words", r, broken) for r in (LARGE, SMALL)}
        engines = {role: pool.engine for role, pool in pools.items()}
        run = RelayRun(SHARED.machine(), engines, generation_id="run")
        result = await run.complete()
        legs = sum(
            replica.legs for pool in pools.values() for replica in pool.engine.counts().replicas
        )
        for pool in pools.values():
            await pool.engine.aclose()
        return result, legs

    result, legs = run(scene())
    named = [segment.replicas for segment in result.trace.segments]
    assert result.trace.failovers > 0
    assert sum(len(replicas) for replicas in named) == legs
    assert all(replicas and set(replicas) <= set("ABC") for replicas in named)
    assert any(len(set(replicas)) > 1 for replicas in named)  # where one broke off


@pytest.mark.parametrize("role", [LARGE, SMALL])
def test_a_pool_that_is_gone_ends_or_degrades_a_run(role: ModelRole) -> None:
    async def scene() -> Result:
        pools = {r: open_pool("shared words", r, (), wait_s=1.0) for r in (LARGE, SMALL)}
        for replica in pools[role].replicas.values():
            replica.alive = False
        engines = {r: pool.engine for r, pool in pools.items()}
        return await RelayRun(SHARED.machine(), engines, generation_id="run").complete()

    result = run(scene())
    if role is LARGE:
        assert result.finish_reason is FinishReason.ERROR
        assert "no replica" in (result.error or "")
    else:
        assert result.text == PLAYED["shared words"].text
        assert result.trace.small_lost
        assert result.trace.handoffs == 0


def test_while_the_small_pool_is_gone_or_busy_no_handoff_waits_for_it() -> None:
    async def scene() -> Result:
        pools = {r: open_pool("shared words", r, (), wait_s=FOR_EVER) for r in (LARGE, SMALL)}
        small = pools[SMALL]
        for replica in small.replicas.values():
            replica.well = False
        small.engine.start_checks()
        await asyncio.sleep(10.0)
        for replica in small.replicas.values():
            replica.alive = False
        for name in "ABC":  # what checks took out may be tried, so that legs must fail too
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await small.engine.score((1, 2), 1, generation_id=name)
        engines = {r: pool.engine for r, pool in pools.items()}
        busy = partial(small.engine.is_busy, 0)
        assert busy()
        result = await RelayRun(SHARED.machine(), engines, small_busy=busy).complete()
        for pool in pools.values():
            await pool.engine.aclose()
        return result

    result = run(scene())
    assert result.text == PLAYED["shared words"].text
    assert result.trace.handoffs == 0
    assert result.trace.handoffs_left_out == 6
    assert not result.trace.small_lost
    assert not result.trace.repeatable
