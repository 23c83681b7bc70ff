"""Reads back what `run`, the playground and the gateway's replies tell, and trusts none of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from relaygen.errors import InvalidRequestError
from relaygen.types import FinishReason

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_IN_A_REPLY = 'a reply has one if its request says "relaygen": {"trace": true}, without "stream"'
_WRITE_ONE = f"`relaygen run --trace FILE` writes one, and {_IN_A_REPLY}"


class _Segment(msgspec.Struct, kw_only=True):
    """Of a stream that did not say who wrote, neither role nor tokens are known."""

    role: Literal["large", "small"] | None
    stage: Literal["reasoning", "answer"]
    text: str
    started_s: _Seconds
    ended_s: _Seconds
    first_token_s: _Seconds | None = None
    token_ids: list[_Count] | None = None
    margins: list[_Share | None] | None = None
    ended_by: str | None = None


class _Trace(msgspec.Struct, kw_only=True):
    segments: list[_Segment]
    wall_s: _Seconds
    policy: str | None = None
    utilisation: _Share | None = None
    handoffs: _Count | None = None
    overrun_tokens: _Count | None = None
    failovers: _Count = 0
    handoffs_left_out: _Count = 0
    early_stops: _Count = 0
    small_lost: bool = False


class _Message(msgspec.Struct, kw_only=True):
    role: str
    content: Any = None


class _Run(msgspec.Struct, kw_only=True):
    messages: list[_Message] = []


class _ReasoningTokens(msgspec.Struct, kw_only=True):
    reasoning_tokens: _Count | None = None


class _Usage(msgspec.Struct, kw_only=True):
    completion_tokens: _Count
    completion_tokens_details: _ReasoningTokens | None = None


class _Generation(msgspec.Struct, kw_only=True):
    reasoning: str
    answer: str
    finish_reason: FinishReason | None
    trace: _Trace
    error: str | None = None
    usage: _Usage | None = None
    run: _Run | None = None
    schema_version: Annotated[int, msgspec.Meta(ge=1, le=1)] = 1


class _Said(msgspec.Struct, kw_only=True):
    content: str | None = None
    reasoning: str | None = None


class _Extension(msgspec.Struct, kw_only=True):
    trace: dict[str, Any] | None = None


class _Choice(msgspec.Struct, kw_only=True):
    finish_reason: str | None = None
    message: _Said | None = None
    relaygen: _Extension | None = None


class _Reply(msgspec.Struct, kw_only=True):
    """Of ``/v1/chat/completions`` or ``/v1/completions``."""

    choices: Annotated[list[_Choice], msgspec.Meta(min_length=1)]
    usage: dict[str, Any] | None = None


class _Generations(msgspec.Struct, kw_only=True):
    generations: Annotated[list[_Generation], msgspec.Meta(min_length=1)]


def generations(data: bytes, name: str) -> list[dict[str, Any]]:
    """The generations in a trace file, as plain data, fields that nobody here knows included.

    Args:
        data: one generation, ``{"generations": [...]}`` as the playground saves a comparison, a
            reply of the gateway, the extension field of one of its choices, or the trace in there.
        name: of the file, for messages.

    Raises:
        InvalidRequestError: it is no trace; says where it is none.
    """
    try:
        value = msgspec.json.decode(data)
        if isinstance(value, dict) and "generations" in value:
            msgspec.convert(value, _Generations)
            return list(value["generations"])
        made = _made_from(value, name)
        for generation in made:
            msgspec.convert(generation, _Generation)
        return made
    except msgspec.ValidationError as error:
        raise InvalidRequestError(f"{name} is no trace ({error}); {_WRITE_ONE}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"{name} is not JSON ({error}); {_WRITE_ONE}") from None
    except RecursionError:
        raise InvalidRequestError(
            f"{name} is nested too deeply for a trace; {_WRITE_ONE}"
        ) from None


def question(generation: dict[str, Any]) -> list[tuple[str, Any]] | None:
    """The messages that a generation answers, as (role, content); None where it does not tell."""
    run = generation.get("run") or {}
    return [(m["role"], m.get("content")) for m in run.get("messages", [])] or None


def _made_from(value: Any, name: str) -> list[dict[str, Any]]:
    """Generations around the traces of the gateway; what is none of its own stays as it is."""
    if not isinstance(value, dict) or "reasoning" in value:
        return [value]
    if "choices" in value:
        reply = msgspec.convert(value, _Reply)
        usage = reply.usage if len(reply.choices) == 1 else None  # it counts all of them
        return [_of_choice(choice, usage, name) for choice in reply.choices]
    if isinstance(value.get("trace"), dict):
        return [_of_choice(_Choice(relaygen=_Extension(trace=value["trace"])), None, name)]
    if isinstance(value.get("segments"), list):
        return [_of_choice(_Choice(relaygen=_Extension(trace=value)), None, name)]
    if "handoffs" in value:
        raise _without_trace(name)
    return [value]


def _of_choice(choice: _Choice, usage: Any, name: str) -> dict[str, Any]:
    if choice.relaygen is None or choice.relaygen.trace is None:
        raise _without_trace(name)
    segments = msgspec.convert(choice.relaygen.trace, _Trace).segments
    texts = {
        stage: "".join(segment.text for segment in segments if segment.stage == stage)
        for stage in ("reasoning", "answer")
    }
    said = choice.message or _Said()
    ended = choice.finish_reason
    return {
        "text": "".join(segment.text for segment in segments),
        "reasoning": texts["reasoning"] if said.reasoning is None else said.reasoning,
        "answer": texts["answer"] if said.content is None else said.content,
        "finish_reason": ended if ended in (None, FinishReason.LENGTH) else FinishReason.STOP.value,
        "error": None,
        "usage": usage,
        "trace": choice.relaygen.trace,
    }


def _without_trace(name: str) -> InvalidRequestError:
    return InvalidRequestError(f"{name} is of a reply without a trace: {_IN_A_REPLY}")
