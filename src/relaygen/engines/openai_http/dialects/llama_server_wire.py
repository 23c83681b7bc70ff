"""What goes over the wire to a llama-server and back; see `llama_server`."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec

from relaygen.engines.openai_http.scores import listed_score
from relaygen.engines.sampling import mix
from relaygen.types import Sampling, TokenScore

PATH = "/completion"
RANDOM_SEED = 2**32 - 1  # asks for one of the server's own
LAST_FIELDS = ["stop", "stop_type", "tokens", "tokens_predicted", "completion_probabilities"]
NEUTRAL: dict[str, Any] = {  # every field that a leg does not set, at what changes nothing
    "samplers": ["top_k", "top_p", "min_p", "temperature"],
    "repeat_last_n": 0,
    "repeat_penalty": 1.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "dry_multiplier": 0.0,
    "typical_p": 1.0,
    "top_n_sigma": -1.0,
    "xtc_probability": 0.0,
    "dynatemp_range": 0.0,
    "mirostat": 0,
    "min_keep": 0,
    "ignore_eos": False,
    "n_keep": 0,
    "cache_prompt": True,
    "return_tokens": True,
    "post_sampling_probs": False,
    "timings_per_token": False,
    "response_fields": LAST_FIELDS,
}


class Logprob(msgspec.Struct):
    """A written token, or an alternative to it."""

    id: int
    logprob: float
    top_logprobs: list[Logprob] = []


class Progress(msgspec.Struct):
    """How far the prompt was read."""

    total: int
    cache: int


class Event(msgspec.Struct):
    """Of a stream, or a whole answer."""

    tokens: list[int] = []
    content: str = ""
    stop: bool = False
    stop_type: str = ""
    tokens_predicted: int = 0
    completion_probabilities: list[Logprob] = []
    prompt_progress: Progress | None = None
    error: Any = None


def seed_of(sampling: Sampling) -> int:
    """32 bits; always one, so that a leg can be replayed."""
    if sampling.seed is None:
        return secrets.randbelow(RANDOM_SEED)
    return sampling.seed if sampling.seed < RANDOM_SEED else mix(sampling.seed) % RANDOM_SEED


def score_of(entry: Logprob, top: int) -> TokenScore:
    """The score of a written token."""
    return listed_score(entry.logprob, [(e.id, e.logprob) for e in entry.top_logprobs], top=top)
