"""The checks and numbers that every request has: how many, how long, where to stop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from relaygen.api import Relay
from relaygen.gateway.failures import conflicting, refused, unsupported
from relaygen.gateway.wire.common_request import CommonRequest
from relaygen.types import ModelRole, Sampling

MAX_STOPS = 16
_MAX_STOP_LENGTH = 1024
_MAX_BIASES = 1024
_SAMPLING = (
    "temperature",
    "top_p",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
)


def check_common(request: CommonRequest) -> None:
    """Refuses what would have to be ignored.

    Raises:
        HttpError: 400.
    """
    if request.store:
        raise unsupported("store", "nothing is stored here; leave it out, or send false")
    if request.service_tier not in (None, "auto", "default"):
        raise unsupported("service_tier", "there are no tiers; leave it out, or send 'auto'")
    options = request.stream_options
    if options is not None:
        if not request.stream:
            raise conflicting("stream_options", "stream_options is only for stream: true")
        if options.include_obfuscation:
            raise unsupported(
                "stream_options.include_obfuscation", "chunks are not padded; send false"
            )


def choices(request: CommonRequest, most: int, prompts: int = 1) -> int:
    """How many choices each prompt gets.

    Raises:
        HttpError: 400; fewer than one, or too many.
    """
    count = 1 if request.n is None else request.n
    if count < 1 or count * prompts > most:
        times = f" for each of {prompts} prompts" if prompts > 1 else ""
        raise refused(
            "n",
            f"n is {count}{times}; a request may have 1 to {most} choices in all",
        )
    return count


def stops(request: CommonRequest) -> tuple[str, ...]:
    """The stop strings.

    Raises:
        HttpError: 400; an empty one, too many, or too long ones.
    """
    given = request.stop
    found = () if given is None else (given,) if isinstance(given, str) else tuple(given)
    if len(found) > MAX_STOPS:
        raise refused(
            "stop",
            f"stop has {len(found)} strings; at most {MAX_STOPS} are taken",
        )
    for text in found:
        if not 0 < len(text) <= _MAX_STOP_LENGTH:
            raise refused(
                "stop",
                f"a stop string has {len(text)} characters; it must have 1 to {_MAX_STOP_LENGTH}",
            )
    return found


def seed(request: CommonRequest) -> int | None:
    """The seed; negative ones, which OpenAI takes, are counted from the other end of 64 bits.

    Raises:
        HttpError: 400; it needs more than 64 bits.
    """
    if request.seed is None:
        return None
    if not -(2**63) <= request.seed < 2**64:
        raise refused("seed", f"seed is {request.seed}; it must fit into 64 bits")
    return request.seed % 2**64


def sampling(request: CommonRequest, relay: Relay) -> dict[ModelRole, Sampling]:
    """How each model draws: what the request says, else the model's own defaults.

    Raises:
        InvalidRequestError: a value is out of range.
        HttpError: 400; a bias is.
    """
    given: dict[str, Any] = {
        name: value for name in _SAMPLING if (value := getattr(request, name)) is not None
    }
    if request.top_k is not None:
        given["top_k"] = 0 if request.top_k == -1 else request.top_k  # -1 is vLLM's word for "off"
    if request.logit_bias is not None:
        given["logit_bias"] = _biases(request.logit_bias)
    return {
        role: replace(model.sampling, **given) if given else model.sampling
        for role, model in relay.models.items()
    }


def _biases(biases: dict[int, float]) -> dict[int, float]:
    if len(biases) > _MAX_BIASES:
        raise refused(
            "logit_bias",
            f"logit_bias has {len(biases)} entries; at most {_MAX_BIASES} are taken",
        )
    for token_id, value in biases.items():
        if not -100.0 <= value <= 100.0:
            raise refused(
                f"logit_bias.{token_id}",
                f"logit_bias of token {token_id} is {value}; it must be between -100 and 100",
            )
    return biases
