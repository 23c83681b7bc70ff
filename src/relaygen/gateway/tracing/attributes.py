"""What spans say. Never a word of a prompt or an answer: not even the cue that ended a segment.

Source: the names are those of OpenTelemetry's semantic conventions for HTTP servers and for
generative AI, where they have one; what is ours begins with ``relaygen.``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from relaygen.gateway.exchange import Ended, Exchange
from relaygen.runner import SegmentTrace

Attributes = Mapping[str, str | bool | int | float | Sequence[str]]

_METHODS = frozenset(
    ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
)
_OPERATIONS = {"/v1/chat/completions": "chat", "/v1/completions": "text_completion"}
_LONGEST_PATH = 256
_PASSWORD = re.compile(r"//[^/@]*@")


def request_name(exchange: Exchange) -> str:
    """The name of a request's span: few of them, whatever clients send."""
    method = exchange.method if exchange.method in _METHODS else "HTTP"
    return f"{method} {exchange.route}".strip()


def at_begin(exchange: Exchange) -> Attributes:
    """What is known when a request comes; samplers see it."""
    known = exchange.method in _METHODS
    found = {
        "http.request.method": exchange.method if known else "_OTHER",
        "url.path": exchange.path[:_LONGEST_PATH],
        "relaygen.request_id": exchange.id,
    }
    return found | ({"http.route": exchange.route} if exchange.route else {})


def of_request(exchange: Exchange) -> Attributes:
    """What is known when a request has been answered."""
    found: dict[str, str | bool | int | float | Sequence[str]] = {
        "http.response.status_code": exchange.status
    }
    if exchange.error:
        found["error.type"] = exchange.error
    if exchange.key:
        found["relaygen.key"] = exchange.key
    if exchange.model:
        traces = [result.trace for result in exchange.results]
        found |= {
            "gen_ai.operation.name": _OPERATIONS.get(exchange.route, "text_completion"),
            "gen_ai.provider.name": "relaygen",
            "gen_ai.request.model": exchange.model,
            "gen_ai.request.stream": exchange.stream,
            "gen_ai.usage.input_tokens": exchange.prompt_tokens,
            "gen_ai.usage.output_tokens": exchange.completion_tokens,
            "gen_ai.response.finish_reasons": [str(r.finish_reason) for r in exchange.results],
            "relaygen.handoffs": sum(trace.handoffs for trace in traces),
            "relaygen.failovers": sum(trace.failovers for trace in traces),
            "relaygen.degraded": any(trace.small_lost for trace in traces),
        }
    if exchange.first_text_s is not None:
        found["gen_ai.response.time_to_first_chunk"] = exchange.first_text_s
    return found


def of_leg(
    ended: Ended, segment: SegmentTrace, *, model: str, tokens_before: int
) -> dict[str, str | bool | int | float | Sequence[str]]:
    """What is known of one segment: a leg, and whatever repeated it.

    Args:
        ended: the choice.
        segment: of it.
        model: name of the model that wrote it.
        tokens_before: how many tokens of the choice stood before it.
    """
    found: dict[str, str | bool | int | float | Sequence[str]] = {
        "gen_ai.operation.name": "text_completion",
        "gen_ai.provider.name": "relaygen",
        "gen_ai.request.model": model,
        "gen_ai.usage.input_tokens": ended.result.usage.prompt_tokens + tokens_before,
        "gen_ai.usage.output_tokens": len(segment.token_ids),
        "relaygen.choice": ended.index,
        "relaygen.role": str(segment.role),
        "relaygen.stage": str(segment.stage),
        "relaygen.ended_by": end_reason(segment),
        "relaygen.overrun_tokens": segment.overrun_tokens,
    }
    if segment.first_token_s is not None:
        waited = segment.first_token_s - segment.started_s
        found["gen_ai.response.time_to_first_chunk"] = waited
    if segment.prompt_evaluated is not None:
        found["relaygen.prompt_evaluated"] = segment.prompt_evaluated
    if segment.replicas:
        found["relaygen.replicas"] = [_PASSWORD.sub("//", name) for name in segment.replicas]
    return found


def end_reason(segment: SegmentTrace) -> str:
    """Why a segment ended, without the text that ended it: ``cue``, where it was a cue."""
    return segment.ended_by.partition(":")[0]
