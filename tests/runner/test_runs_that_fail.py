"""What a run makes of engines that fail, stall or refuse, and of a reader who leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import pytest

from relaygen.engines.base import EngineOutput
from relaygen.engines.simulated import Fault, Latency
from relaygen.errors import (
    ContextLengthError,
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
    ProtocolError,
    TokenizerError,
)
from relaygen.relay.config import RelayConfig
from relaygen.relay.policies import RelayPolicy
from relaygen.relay.policy import Decision, Step
from relaygen.runner import RelayRun
from relaygen.types import FinishReason, TokenScore
from tests.relay.driving import LARGE, SMALL
from tests.relay.peer_policies import SpecReason
from tests.relay.scenes import END, Scene
from tests.runner.relaying import GUARD_S, complete, engines, idle, run, turns

both_ways = pytest.mark.parametrize("inline", [True, False], ids=["inline", "async"])

SHORT = RelayConfig(min_reasoning_tokens=0, min_small_tokens=0)
SCRIPT = ["We", " try", ".", " So,", " it", " fits", ".", " On", END, " 2", "."]
TEXT = "".join(SCRIPT)
FAILS = Fault(kind="fail")
SCENE = Scene(SCRIPT, config=SHORT)
LONG = Scene(["We", *[" go"] * 20_000], max_tokens=30_000)


@both_ways
@pytest.mark.parametrize("role", [LARGE, SMALL])
@pytest.mark.parametrize("leg", [0, 1])
@pytest.mark.parametrize("after", [0, 1])
async def test_a_leg_that_fails_once_is_repeated(
    role: object, leg: int, after: int, inline: bool
) -> None:
    faults = {role: {leg: Fault(kind="fail", after=after)}}
    result = await complete(SCENE, inline=inline, faults=faults)
    assert result.text == TEXT
    assert turns(result) == SCENE.play().turns
    assert not result.trace.small_lost
    assert not result.trace.repeatable


@both_ways
@pytest.mark.parametrize("retryable", [True, False])
async def test_without_the_small_model_the_large_one_writes_on(
    retryable: bool, inline: bool
) -> None:
    faults = {SMALL: Fault(kind="fail", after=0, retryable=retryable)}
    result = await complete(SCENE, inline=inline, faults=faults)
    assert result.text == TEXT
    assert result.trace.small_lost
    assert result.finish_reason is FinishReason.STOP
    assert [role for role, text, _ in turns(result) if text] == ["large"] * 3


@both_ways
async def test_without_the_large_model_the_generation_ends_with_an_error(inline: bool) -> None:
    faults = {LARGE: {0: Fault(kind="fail", after=2), **dict.fromkeys(range(1, 9), FAILS)}}
    async with engines(SCENE, inline=inline, faults=faults) as opened:
        result = await run(SCENE, opened).complete()
        assert opened[LARGE].counters.legs == 3
    assert result.finish_reason is FinishReason.ERROR
    assert "as it was told to" in (result.error or "")
    assert result.text == "We try"
    assert result.trace.failovers == 2


@both_ways
async def test_a_run_outlives_any_number_of_failures_that_each_brought_a_token(
    inline: bool,
) -> None:
    faults = dict.fromkeys((LARGE, SMALL), Fault(kind="fail", after=1))
    result = await complete(SCENE, inline=inline, faults=faults)
    assert result.text == TEXT
    assert turns(result) == SCENE.play().turns
    assert not result.trace.small_lost
    assert result.trace.failovers > 5


@both_ways
async def test_an_engine_that_was_closed_counts_as_failed(inline: bool) -> None:
    for role, reason in ((SMALL, FinishReason.STOP), (LARGE, FinishReason.ERROR)):
        async with engines(SCENE, inline=inline) as opened:
            await opened[role].aclose()
            result = await run(SCENE, opened).complete()
        assert result.finish_reason is reason
        assert result.trace.small_lost is (role is SMALL)


@both_ways
async def test_what_broke_a_run_off_can_be_raised_as_it_was(inline: bool) -> None:
    async with engines(SCENE, inline=inline) as opened:
        whole = run(SCENE, opened)
        await whole.complete()
        whole.raise_for_failure()
        await opened[LARGE].aclose()
        broken = run(SCENE, opened)
        with pytest.raises(ProtocolError):
            broken.raise_for_failure()
        result = await broken.complete()
    with pytest.raises(EngineUnavailableError) as raised:
        broken.raise_for_failure()
    assert str(raised.value) == result.error


@both_ways
async def test_a_judge_that_cannot_score_ends_the_generation(inline: bool) -> None:
    scene = Scene(SCRIPT, policy=SpecReason)
    async with engines(scene, inline=inline) as opened:
        await opened[LARGE].aclose()
        result = await run(scene, opened).complete()
    assert result.finish_reason is FinishReason.ERROR


@both_ways
async def test_a_judge_that_refuses_is_an_error_to_the_reader(inline: bool) -> None:
    scene = Scene(SCRIPT, policy=SpecReason)
    async with engines(scene, inline=inline, context={LARGE: 2}) as opened:
        with pytest.raises(ContextLengthError):
            await run(scene, opened).complete()


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


@both_ways
async def test_what_an_engine_refuses_reaches_the_reader(inline: bool) -> None:
    with pytest.raises(ContextLengthError, match="the prompt has 1 tokens"):
        await complete(SCENE, inline=inline, context={LARGE: 1})


@both_ways
async def test_a_context_that_is_full_ends_with_length(inline: bool) -> None:
    result = await complete(SCENE, inline=inline, context={LARGE: 5})
    assert result.finish_reason is FinishReason.LENGTH
    # The small model went on to its sentence's end; then the large one had no room.
    assert result.text == "We try. So, it fits."


@both_ways
async def test_a_small_model_with_a_shorter_context_drops_out(inline: bool) -> None:
    result = await complete(SCENE, inline=inline, context={SMALL: 4})
    assert result.text == TEXT
    assert result.trace.small_lost


@both_ways
async def test_a_token_that_nobody_knows_is_an_error_to_the_reader(inline: bool) -> None:
    faults = {SMALL: {0: Fault(kind="garbage")}}
    async with engines(SCENE, inline=inline, faults=faults) as opened:
        with pytest.raises(TokenizerError, match="2147483647"):
            await run(SCENE, opened).complete()


class Broken(RelayPolicy):
    def token(self, step: Step) -> Decision:
        raise ZeroDivisionError


class BrokenJudge(SpecReason):
    def judged(self, scores: Sequence[TokenScore]) -> object:  # type: ignore[override]
        raise ZeroDivisionError


@both_ways
@pytest.mark.parametrize("policy", [Broken, BrokenJudge])
async def test_a_bug_of_a_policy_reaches_the_reader(policy: type, inline: bool) -> None:
    scene = Scene(SCRIPT, policy=policy)
    async with engines(scene, inline=inline) as opened:
        with pytest.raises(ZeroDivisionError):
            await run(scene, opened).complete()


async def test_an_engine_that_stops_without_a_word_is_asked_again_and_then_given_up() -> None:
    async with engines(SCENE, inline=False) as opened:
        calls = 0

        async def silent(request: object) -> object:
            nonlocal calls
            calls += 1
            for _ in ():
                yield EngineOutput(())

        opened[SMALL].generate = silent  # type: ignore[method-assign, assignment]
        result = await run(SCENE, opened).complete()
    assert calls == 3
    assert result.text == TEXT
    assert result.trace.small_lost


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


def test_a_run_without_an_engine_for_a_role_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="no engine for the large model"):
        RelayRun(SCENE.machine(), {})


def test_there_is_no_result_before_the_end() -> None:
    class Nothing:
        pass

    running = RelayRun(SCENE.machine(), {LARGE: Nothing(), SMALL: Nothing()})  # type: ignore[dict-item]
    with pytest.raises(ProtocolError, match="not over"):
        running.result()


def test_engine_errors_say_whether_a_repeat_may_help() -> None:
    assert EngineError("x").retryable is False
