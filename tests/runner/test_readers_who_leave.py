"""What a run makes of a reader who leaves, is cancelled, or takes the event loop along."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from relaygen.engines.simulated import Fault, Latency
from relaygen.runner import RelayRun
from relaygen.types import FinishReason
from tests.relay.driving import LARGE, SMALL
from tests.relay.scenes import SHORT, Scene
from tests.runner.relaying import GUARD_S, SCENE, both_ways, engines, idle, run

LONG = Scene(["We", *[" go"] * 20_000], max_tokens=30_000)


@both_ways
async def test_a_reader_who_is_cancelled_leaves_no_leg(inline: bool) -> None:
    faults = {SMALL: Fault(kind="stall", after=1)}
    async with engines(SCENE, inline=inline, faults=faults) as opened:
        running = run(SCENE, opened)
        seen = asyncio.Event()

        async def read() -> None:
            async for part in running.stream():
                if part.role is SMALL:
                    seen.set()

        task = asyncio.create_task(read())
        await seen.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await idle(opened)
        result = running.result()
    assert result.finish_reason is FinishReason.CANCELLED
    assert result.text == "We try. So, it"
    assert "".join(segment.text for segment in result.trace.segments) == result.text


@both_ways
async def test_what_was_held_back_is_in_the_result_of_a_cancelled_run(inline: bool) -> None:
    scene = Scene(["We", "a", "b"], tags=None, first_stage=None, stop=("ab!",))
    async with engines(
        scene, inline=inline, faults={LARGE: Fault(kind="stall", after=2)}
    ) as opened:
        machine = scene.machine()
        running = RelayRun(machine, opened)
        task = asyncio.create_task(running.complete())
        while len(machine.tokens) < 2:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        result = running.result()
    assert result.text == "".join(segment.text for segment in result.trace.segments) == "Wea"


@both_ways
async def test_a_reader_who_leaves_early_cancels_both_engines(inline: bool) -> None:
    for count in range(1, 10):
        async with engines(SCENE, inline=inline, latency=Latency(decode_ms=0.1)) as opened:
            running = run(SCENE, opened)
            async with aclosing(running.stream()) as stream:
                parts = [await anext(stream) for _ in range(count)]
            await idle(opened)
            result = running.result()
        assert result.text.startswith("".join(part.text for part in parts))
        assert result.finish_reason in (FinishReason.CANCELLED, FinishReason.STOP)


@both_ways
async def test_a_run_that_is_dropped_while_it_hands_over_leaves_no_leg(inline: bool) -> None:
    scene = Scene([t for i in range(60) for t in (" So,", f" {i}", ".")], config=SHORT)
    for count in range(0, 60, 12):
        async with engines(scene, inline=inline) as opened:
            async with aclosing(run(scene, opened).stream()) as stream:
                async for _ in stream:
                    count -= 1
                    if count < 0:
                        break
            await idle(opened)


@pytest.mark.parametrize("wake_up_under_way", [False, True])
@pytest.mark.parametrize("seen", [1, 5])
def test_a_loop_that_is_closed_under_a_run_stops_its_engines(
    seen: int, wake_up_under_way: bool
) -> None:
    loop = asyncio.new_event_loop()
    opening = engines(LONG, inline=True, latency=Latency(decode_ms=0.5))

    async def begin() -> tuple[object, object]:
        opened = await opening.__aenter__()
        stream = run(LONG, opened).stream()
        for _ in range(seen):
            await anext(stream)
        return opened, stream

    async def wait(opened: object) -> None:
        async with asyncio.timeout(GUARD_S):
            await idle(opened)  # type: ignore[arg-type]
            for engine in opened.values():  # type: ignore[attr-defined]
                await engine.aclose()

    opened, stream = loop.run_until_complete(begin())
    counters = opened[LARGE].counters  # type: ignore[index]
    made = counters.generated_tokens
    while wake_up_under_way and counters.generated_tokens < made + 3:
        pass
    loop.close()
    asyncio.run(wait(opened))
    made = sum(engine.counters.generated_tokens for engine in opened.values())  # type: ignore[attr-defined]
    assert made < 10_000
    assert stream is not None
