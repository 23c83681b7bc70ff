"""Plain values that every layer shares: roles, stages, sampling, token scores.

Nothing here does any work; a reader can take the names as the vocabulary of the project.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from relaygen.errors import InvalidRequestError


class ModelRole(StrEnum):
    """Which of the two models of a relay writes."""

    LARGE = "large"
    SMALL = "small"

    @property
    def other(self) -> ModelRole:
        """The role on the other side of a handoff."""
        return ModelRole.SMALL if self is ModelRole.LARGE else ModelRole.LARGE


class Stage(StrEnum):
    """Reasoning lasts up to and including ``</think>``; the answer follows."""

    REASONING = "reasoning"
    ANSWER = "answer"


class FinishReason(StrEnum):
    """Why a generation ended, as the reader of the whole text sees it (OpenAI's names)."""

    STOP = "stop"
    LENGTH = "length"
    ERROR = "error"
    CANCELLED = "cancelled"


class LegEnd(StrEnum):
    """Why one engine call ended by itself."""

    EOS = "eos"
    """The model wrote an end-of-sequence token; it is the last token of the output."""
    LENGTH = "length"
    """The leg's ``max_tokens`` were written, or the context is full."""
    STOP_HINT = "stop_hint"
    """The engine honoured a stop hint; the text up to and including it was delivered."""
    FAILED = "failed"
    """The leg broke off for good. Engines raise instead; the machine tells its policy so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sampling:
    """How the next token is drawn. The defaults are neutral: plain sampling at temperature 1.

    Attributes:
        temperature: 0 is greedy (argmax).
        top_k: keep the k most likely tokens; 0 keeps all.
        top_p: keep the smallest set of tokens with at least this probability mass; 1 keeps all.
        min_p: drop tokens less likely than this share of the most likely one; 0 keeps all.
        presence_penalty: subtracted once from the logit of each token already generated.
        frequency_penalty: subtracted per occurrence from the logit of each generated token.
        repetition_penalty: divides (or multiplies, if negative) logits of generated tokens.
        seed: 32-bit seed of this leg; None lets the engine choose.
        logit_bias: token id to an addition to its logit.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int | None = None
    logit_bias: Mapping[int, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        checks: tuple[tuple[str, bool, str], ...] = (
            ("temperature", 0.0 <= self.temperature <= 100.0, "between 0 and 100"),
            ("top_k", self.top_k >= 0, "0 (off) or a positive number"),
            ("top_p", 0.0 < self.top_p <= 1.0, "above 0 and at most 1"),
            ("min_p", 0.0 <= self.min_p <= 1.0, "between 0 and 1"),
            ("presence_penalty", -2.0 <= self.presence_penalty <= 2.0, "between -2 and 2"),
            ("frequency_penalty", -2.0 <= self.frequency_penalty <= 2.0, "between -2 and 2"),
            ("repetition_penalty", 0.0 < self.repetition_penalty <= 10.0, "above 0, at most 10"),
            ("seed", self.seed is None or 0 <= self.seed < 2**64, "between 0 and 2**64 - 1"),
        )
        for name, valid, expected in checks:
            if not valid:
                raise InvalidRequestError(
                    f"{name} is {getattr(self, name)!r}; it must be {expected}", param=name
                )

    @property
    def has_penalties(self) -> bool:
        """Whether any penalty differs from its neutral value."""
        return (
            self.presence_penalty != 0.0
            or self.frequency_penalty != 0.0
            or self.repetition_penalty != 1.0
        )


@dataclass(frozen=True, slots=True)
class TokenScore:
    """What a model thought of one token, from its unscaled softmax (temperature 1, no penalties).

    Attributes:
        logprob: natural log of the probability of the token that was written.
        margin: p(top-1) - p(top-2) at its position, in 0..1.
        entropy: of the whole distribution in nats; None where the engine sees only the top few.
        top: (token id, logprob) of the most likely tokens, best first; empty if not asked for.
        likeliest: whether no token was more likely; None where that is not known.
    """

    logprob: float
    margin: float
    entropy: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    likeliest: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Token counts of one generation, in OpenAI's terms.

    Attributes:
        prompt_tokens: tokens of the rendered prompt, counted once however many legs read it.
        completion_tokens: tokens kept in the generation, an end-of-sequence token included.
        reasoning_tokens: those of them in the reasoning stage.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int
