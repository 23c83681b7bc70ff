"""What a generation left behind: its text, and who wrote what when."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from relaygen.types import FinishReason, ModelRole, Stage, Usage


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentTrace:
    """One segment, with its times in seconds since the generation began.

    Attributes:
        role: who wrote it.
        stage: reasoning or answer.
        token_ids: kept tokens.
        text: reasoning tags included.
        margins: p(top-1) - p(top-2) a token; None where scores were not asked for.
        started_s: its leg was requested.
        first_token_s: its first token arrived; None if it has none.
        ended_s: the decision that ended it was made.
        ended_by: why it ended ("cue:So,", "sentence_end", "reasoning_end", "eos", "length", ...).
        overrun_tokens: tokens produced beyond a decision and dropped.
        prompt_evaluated: prompt tokens that its model had to read at its start, the rest came from
            the model's cache; None where the engine does not tell.
        replicas: of several equal servers those that wrote it, one a leg; empty where there is one.
            An operator's knowledge: no reply and no trace file has it.
    """

    role: ModelRole
    stage: Stage
    token_ids: tuple[int, ...]
    text: str
    margins: tuple[float | None, ...] | None
    started_s: float
    first_token_s: float | None
    ended_s: float
    ended_by: str
    overrun_tokens: int
    prompt_evaluated: int | None
    replicas: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """All segments of one generation, in order.

    Attributes:
        policy: the policy's name.
        segments: their texts add up to the text, their token ids to the usage.
        wall_s: seconds from the request to the end.
        repeatable: whether the same seed gives the same tokens again; a failover breaks that, and
            so does a handoff that was left out because the small model was busy.
        small_lost: the small model failed on the way, the large one wrote on alone.
        failovers: legs that were repeated after a failure.
        handoffs_left_out: how often the large model wrote on because the small one was busy.
        early_stops: legs that a server's stop string ended too early, and that went on.
    """

    policy: str
    segments: tuple[SegmentTrace, ...]
    wall_s: float
    repeatable: bool
    small_lost: bool = False
    failovers: int = 0
    handoffs_left_out: int = 0
    early_stops: int = 0

    @property
    def large_tokens(self) -> int:
        """Tokens that the large model wrote."""
        return sum(len(s.token_ids) for s in self.segments if s.role is ModelRole.LARGE)

    @property
    def utilisation(self) -> float:
        """Share of the generated tokens that the large model wrote, in 0..1."""
        total = sum(len(s.token_ids) for s in self.segments)
        return self.large_tokens / total if total else 0.0

    @property
    def handoffs(self) -> int:
        """How often the large model handed over to the small one."""
        roles = [s.role for s in self.segments if s.token_ids]
        pairs = itertools.pairwise(roles)
        return sum(a is ModelRole.LARGE and b is ModelRole.SMALL for a, b in pairs)

    @property
    def overrun_tokens(self) -> int:
        """Tokens produced beyond decisions, over all segments."""
        return sum(s.overrun_tokens for s in self.segments)


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """A finished generation.

    Attributes:
        text: everything, reasoning tags included.
        reasoning: the reasoning without its tags; empty if there is none.
        answer: what follows the reasoning.
        finish_reason: why it ended.
        usage: token counts.
        trace: who wrote what when.
        error: what failed, where `finish_reason` is ``error``.
    """

    text: str
    reasoning: str
    answer: str
    finish_reason: FinishReason
    usage: Usage
    trace: Trace
    error: str | None = None
