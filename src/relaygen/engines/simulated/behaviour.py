"""How long a simulated engine takes, and how it fails."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Milliseconds of each kind of work; all zero by default. Legs do not slow each other down.

    Attributes:
        request_ms: a leg, whatever it holds (the round trip, the queue).
        prefill_ms: a prompt token that is not in the prefix cache.
        decode_ms: a written token.
    """

    request_ms: float = 0.0
    prefill_ms: float = 0.0
    decode_ms: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """What goes wrong in a leg.

    Attributes:
        kind: ``fail`` raises an `EngineError`; ``stall`` never answers again until the leg is
            cancelled; ``garbage`` writes `token_id` in place of what the model chose, once.
        after: tokens that the leg delivers first.
        retryable: of the error.
        token_id: any number, outside the vocabulary for instance.
    """

    kind: Literal["fail", "stall", "garbage"]
    after: int = 0
    retryable: bool = True
    token_id: int = 2**31 - 1


@dataclass(kw_only=True, slots=True)
class Counters:
    """What a simulated engine has done so far.

    Attributes:
        legs: legs started.
        active_legs: legs started and neither ended nor cancelled.
        prompt_tokens: prompt tokens that were not in the prefix cache.
        generated_tokens: tokens written, also where nobody took them.
    """

    legs: int = 0
    active_legs: int = 0
    prompt_tokens: int = 0
    generated_tokens: int = 0
