"""Words that several servers share."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

import msgspec

from relaygen.engines.openai_http.client import Call, Client
from relaygen.engines.openai_http.refusals import error_event
from relaygen.types import Sampling

SEEDS = 2**63
"""Seeds are below it."""


class Event(Protocol):
    """What a stream's events have in common."""

    error: Any


class _Tokens(msgspec.Struct):
    tokens: list[int]


_E = TypeVar("_E", bound=Event)


def event_or_done(client: Client, call: Call, data: bytes, kind: type[_E]) -> _E | None:
    """Does what `event_of` does; None for what ends a stream of OpenAI's."""
    return None if data == b"[DONE]" else event_of(client, call, data, kind)


def event_of(client: Client, call: Call, data: bytes, kind: type[_E]) -> _E:
    """One event of a stream.

    Raises:
        EngineProtocolError: it is not of that kind.
        EngineError: the server says that it failed.
    """
    event = client.decoded(data, kind, call)
    if event.error is not None:
        raise error_event(event.error, where=client.where(call))
    return event


def sampling_fields(sampling: Sampling) -> dict[str, Any]:
    """The fields that vLLM and SGLang call alike, without the seed."""
    fields: dict[str, Any] = {
        "temperature": sampling.temperature,
        "top_k": sampling.top_k,
        "top_p": sampling.top_p,
        "min_p": sampling.min_p,
        "presence_penalty": sampling.presence_penalty,
        "frequency_penalty": sampling.frequency_penalty,
        "repetition_penalty": sampling.repetition_penalty,
    }
    return fields | bias_field(sampling)


def bias_field(sampling: Sampling) -> dict[str, Any]:
    """OpenAI's ``logit_bias``, where there is a bias."""
    if not sampling.logit_bias:
        return {}
    return {"logit_bias": {str(i): bias for i, bias in sampling.logit_bias.items()}}


async def tokenized(client: Client, body: dict[str, Any]) -> list[int]:
    """What the server's ``/tokenize`` answers."""
    return (await client.json(Call("/tokenize", body), _Tokens)).tokens


async def tokenized_prompt(client: Client, model: str, text: str) -> list[int]:
    """Likewise, as vLLM and SGLang are asked."""
    body = {"model": model, "prompt": text, "add_special_tokens": False}
    return await tokenized(client, body)
