"""What the machine asks a policy, and what a policy may answer.

A policy is a small object with the state of one generation. The machine owns tokens, text, limits,
stages and legs; the policy only says who writes next. Three kinds of decision cover the peers that
we compare with:

* switch at a token boundary (`Write`): RelayGen, Speculative Thinking, random control;
* write tentatively, then look at the scores of the writer and keep or take back (`Write` with
  ``tentative``, `Keep`, ``drop``): GlimpRouter, token-level routers in the manner of R2R;
* write tentatively, have the other model score it, then keep or take back (`Judge`): SpecReason.

Tokens of a tentative segment are not emitted until they are kept; dropped ones never are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from relaygen.relay.cues import CueMatch, SwitchCue
from relaygen.types import LegEnd, ModelRole, TokenScore


@dataclass(frozen=True, slots=True)
class Write:
    """`role` writes the next segment.

    Attributes:
        role: who writes.
        reason: why the segment before it ended, for the trace ("sentence_end", "cue:So,", ...).
        drop: so many of the newest tokens are taken back first: one look-ahead token, or tokens
            of a tentative segment.
        tentative: hold the segment's text back until a later decision keeps it.
        max_tokens: most tokens of the leg; None: as many as the generation may have.
        stop_hints: strings at which `role` is likely to be done (`hints`).
    """

    role: ModelRole
    reason: str
    drop: int = 0
    tentative: bool = False
    max_tokens: int | None = None
    stop_hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Keep:
    """Keep everything written tentatively so far, and let the same leg go on."""


@dataclass(frozen=True, slots=True)
class Judge:
    """Stop the tentative segment and have `role` score it; answered by `Policy.judged`.

    Attributes:
        role: who scores.
        drop: so many of the newest tokens are taken back first, as in `Write`.
    """

    role: ModelRole
    drop: int = 0


Decision = Write | Keep | Judge | None
"""None lets the leg go on."""


class Step:
    """One token, as a policy sees it. One object a generation, updated in place: do not keep it.

    Attributes:
        role: who wrote the token.
        token_id: the token.
        text: what it added to the text.
        tokens: how many tokens that took: 1, or more where a code point is in pieces. The number to
            `drop` to take the text back.
        start: character offset of `text` in the stage's text.
        segment_start: character offset at which the current segment began.
        segment_tokens: tokens in the current segment, this one included.
        position: tokens of the generation before `text`.
        was_pending: before this token the text ended with what may end a sentence.
        ends: offsets of sentence ends that became certain with this token.
        cue: a cue that counts at the end of this token, at a place where its profile says so.
        score: of the writer, where the policy asked for scores.
    """

    __slots__ = (
        "cue",
        "ends",
        "position",
        "role",
        "score",
        "segment_start",
        "segment_tokens",
        "start",
        "text",
        "token_id",
        "tokens",
        "was_pending",
    )

    role: ModelRole
    token_id: int
    tokens: int
    text: str
    start: int
    segment_start: int
    segment_tokens: int
    position: int
    was_pending: bool
    ends: tuple[int, ...]
    cue: CueMatch | None
    score: TokenScore | None

    def __init__(self) -> None:
        self.cue = None


class Policy(Protocol):
    """The rule that decides which role writes next. One object a generation."""

    @property
    def name(self) -> str:
        """For the trace."""
        ...

    @property
    def cues(self) -> Sequence[SwitchCue]:
        """Cues that the machine looks for on the policy's behalf."""
        ...

    @property
    def want_scores(self) -> bool:
        """Whether `Step.score` is needed."""
        ...

    def begin(self) -> Write:
        """Who writes first."""
        ...

    def token(self, step: Step) -> Decision:
        """Asked after each token of the stage in which switching happens, at whole code points."""
        ...

    def judged(self, scores: Sequence[TokenScore]) -> Write:
        """Asked with the other model's scores of the tentative segment."""
        ...

    def leg_ended(
        self, role: ModelRole, reason: LegEnd, segment_tokens: int
    ) -> Write | Judge | None:
        """Asked when a leg ended by itself; None ends the generation (or its reasoning).

        A token that does not count (a ``</think>`` of a role that may not end the reasoning, an id
        that only its writer knows) ends a leg like an end of sequence; then the other role goes on
        whatever is returned.
        """
        ...

    def may_end_reasoning(self, role: ModelRole) -> bool:
        """Whether a ``</think>`` written by this role counts; otherwise it is dropped."""
        ...

    def answer_role(self, reasoning_tokens: int) -> ModelRole:
        """Who writes the answer, where the configuration leaves it open."""
        ...
