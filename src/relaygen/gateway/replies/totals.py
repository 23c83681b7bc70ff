"""What stands at the end of a reply: token counts, and how the two models shared the work."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.errors import EngineError
from relaygen.gateway.wire.replies import (
    CompletionDetails,
    PromptDetails,
    RelayReply,
    RoleTokens,
    UsageReply,
)
from relaygen.runner import Result
from relaygen.types import FinishReason
from relaygen.views.result_json import trace_object


def usage_reply(results: Sequence[Result], choices_per_prompt: int) -> UsageReply:
    """The counts of a request.

    Args:
        results: of all choices, those of one prompt next to each other.
        choices_per_prompt: how many those are.
    """
    first = results[::choices_per_prompt]
    prompt = sum(result.usage.prompt_tokens for result in first)
    completion = sum(result.usage.completion_tokens for result in results)
    cached = [_cached(result) for result in first]
    known = [count for count in cached if count is not None]
    return UsageReply(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        completion_tokens_details=CompletionDetails(
            reasoning_tokens=sum(result.usage.reasoning_tokens for result in results)
        ),
        prompt_tokens_details=PromptDetails(cached_tokens=sum(known)) if known else None,
    )


def relay_reply(result: Result, generation_id: str, *, trace: bool) -> RelayReply:
    """The extension field of a choice; `trace`: with every segment."""
    told = result.trace
    return RelayReply(
        id=generation_id,
        policy=told.policy,
        segments=len(told.segments),
        handoffs=told.handoffs,
        utilisation=round(told.utilisation, 4),
        tokens=RoleTokens(
            large=told.large_tokens,
            small=result.usage.completion_tokens - told.large_tokens,
            overrun=told.overrun_tokens,
        ),
        degraded=told.small_lost,
        failovers=told.failovers,
        repeatable=told.repeatable,
        trace=trace_object(told) if trace else None,
    )


def finish_reason(result: Result, tool_calls: int = 0) -> str:
    """OpenAI's word for why it ended.

    Raises:
        EngineError: it did not end well.
    """
    if result.finish_reason is FinishReason.LENGTH:
        return "length"
    if result.finish_reason is FinishReason.STOP:
        return "tool_calls" if tool_calls else "stop"
    raise EngineError(result.error or "the generation broke off")


def _cached(result: Result) -> int | None:
    """Prompt tokens that the first model did not have to read; None where the engine is silent."""
    segments = result.trace.segments
    evaluated = segments[0].prompt_evaluated if segments else None
    return None if evaluated is None else max(0, result.usage.prompt_tokens - evaluated)
