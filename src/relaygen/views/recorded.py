"""Reads back what `relaygen.views.result_json` and the playground wrote, and trusts none of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from relaygen.errors import InvalidRequestError
from relaygen.types import FinishReason

_Seconds = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
_WRITE_ONE = "`relaygen run --trace FILE` writes one"


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


class _Generations(msgspec.Struct, kw_only=True):
    generations: Annotated[list[_Generation], msgspec.Meta(min_length=1)]


def generations(data: bytes, name: str) -> list[dict[str, Any]]:
    """The generations in a trace file, as plain data, fields that nobody here knows included.

    Args:
        data: one generation, or ``{"generations": [...]}`` as the playground saves a comparison.
        name: of the file, for messages.

    Raises:
        InvalidRequestError: it is no trace; says where it is none.
    """
    try:
        value = msgspec.json.decode(data)
        if isinstance(value, dict) and "generations" in value:
            msgspec.convert(value, _Generations)
            return list(value["generations"])
        msgspec.convert(value, _Generation)
        return [value]
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
