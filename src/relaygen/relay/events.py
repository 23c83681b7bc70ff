"""What goes into the relay machine and what comes out. Plain values, no behaviour.

`Output` and `Emitted`, one of each a token, are structs of msgspec: a frozen dataclass takes most
of a microsecond to make, a struct a twentieth of that.

Source: the split into actions out and events in is h11's.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from relaygen.types import FinishReason, LegEnd, ModelRole, Sampling, Stage, TokenScore


@dataclass(frozen=True, kw_only=True, slots=True)
class Generate:
    """Start a leg. Its prompt is the whole prefix, as token ids.

    Attributes:
        leg_id: unique in the generation, counts from 0.
        role: the model that writes.
        stage: the stage that the leg starts in (an engine does not need it; a trace does).
        prompt_tokens: prompt and all kept tokens so far.
        generated_from: index in `prompt_tokens` of the first generated token.
        max_tokens: the most that can be used of this leg.
        stop_hints: strings after which the leg's output is certainly not needed.
        sampling: with the leg's own seed.
        eos_ids: ids that end the leg.
        want_scores: the policy (or the caller) needs a `TokenScore` a token.
        top_logprobs: alternatives to list in each score.
    """

    leg_id: int
    role: ModelRole
    stage: Stage
    prompt_tokens: tuple[int, ...]
    generated_from: int
    max_tokens: int
    stop_hints: tuple[str, ...]
    sampling: Sampling
    eos_ids: frozenset[int]
    want_scores: bool
    top_logprobs: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Prefill:
    """A hint: `role` will need this prefix soon. May be ignored."""

    role: ModelRole
    prompt_tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """Score ``prompt_tokens[from_token:]`` by `role`; answered with `Scored`."""

    leg_id: int
    role: ModelRole
    prompt_tokens: tuple[int, ...]
    from_token: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the leg at once; whatever it still delivers is overrun."""

    leg_id: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The generation is over. The last action of every generation."""

    reason: FinishReason
    error: str | None = None


Action = Generate | Prefill | Score | Cancel | Finish


class Output(msgspec.Struct, frozen=True):
    """Tokens of a leg, in order; any number at once."""

    leg_id: int
    token_ids: tuple[int, ...]
    scores: tuple[TokenScore, ...] | None = None


@dataclass(frozen=True, slots=True)
class Scored:
    """The answer to `Score`: one score a token of ``prompt_tokens[from_token:]``."""

    leg_id: int
    scores: tuple[TokenScore, ...]


@dataclass(frozen=True, slots=True)
class LegEnded:
    """A leg ended by itself, after its last `Output`."""

    leg_id: int
    reason: LegEnd


@dataclass(frozen=True, slots=True)
class LegFailed:
    """A leg broke off; what it delivered before stays valid.

    Attributes:
        error: for the reader.
        retryable: the same leg may be repeated from its last kept token (another replica, say).
            Otherwise a small leg degrades to the large model, and a large one ends the generation.
    """

    leg_id: int
    error: str
    retryable: bool = False


Event = Output | Scored | LegEnded | LegFailed


class Emitted(msgspec.Struct, frozen=True):
    """What may be shown to the reader now.

    Attributes:
        text: never ends inside a code point; never holds a part of a stop string.
        token_ids: the tokens whose text is complete with `text`; end-of-sequence is listed here
            with empty text.
        role: who wrote it.
        stage: of the text: the closing tag itself belongs to the reasoning stage.
        segment: index of the segment in the trace.
        is_tag: the text is a reasoning tag: part of ``text``, neither reasoning nor answer.
        scores: one a token where asked for.
    """

    text: str
    token_ids: tuple[int, ...]
    role: ModelRole
    stage: Stage
    segment: int
    is_tag: bool = False
    scores: tuple[TokenScore | None, ...] | None = None
