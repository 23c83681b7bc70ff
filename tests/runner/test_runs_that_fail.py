"""What a run makes of engines that fail, stall or refuse."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from relaygen.engines.base import EngineOutput
from relaygen.engines.simulated import Fault
from relaygen.errors import (
    ContextLengthError,
    EngineError,
    EngineUnavailableError,
    InvalidRequestError,
    ProtocolError,
    TokenizerError,
)
from relaygen.relay.policies import RelayPolicy
from relaygen.relay.policy import Decision, Step
from relaygen.runner import RelayRun
from relaygen.types import FinishReason, TokenScore
from tests.relay.driving import LARGE, SMALL
from tests.relay.peer_policies import SpecReason
from tests.relay.scenes import Scene
from tests.runner.relaying import SCENE, SCRIPT, both_ways, complete, engines, run, turns

TEXT = "".join(SCRIPT)
FAILS = Fault(kind="fail")


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
