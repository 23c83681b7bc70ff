"""The peers, as short as they can be: they show that the policy interface holds them all."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.policy import Decision, Judge, Keep, Step, Write
from relaygen.types import LegEnd, ModelRole, TokenScore

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL


class Peer:
    """What the peers share: the large model alone may end the reasoning, and it answers."""

    want_scores = False

    def __init__(self, cues: Sequence[SwitchCue], config: RelayConfig) -> None:
        self.cues = cues

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def judged(self, scores: Sequence[TokenScore]) -> Write:
        raise AssertionError

    def leg_ended(
        self, role: ModelRole, reason: LegEnd, segment_tokens: int
    ) -> Write | Judge | None:
        return Write(LARGE, str(reason)) if role is SMALL else None

    def may_end_reasoning(self, role: ModelRole) -> bool:
        return role is LARGE

    def answer_role(self, reasoning_tokens: int) -> ModelRole:
        return LARGE


def ended(step: Step) -> tuple[bool, int]:
    """Whether the current segment's sentence is over, and how many tokens looked ahead."""
    own = [end for end in step.ends if end > step.segment_start]
    looked = bool(own) and step.was_pending and own[0] <= step.start
    return bool(own), step.tokens if looked else 0


class SpecReason(Peer):
    """Small drafts a sentence, large scores the draft, and rewrites what it would not have said.

    Source: "SpecReason", arXiv 2504.07891.
    """

    def begin(self) -> Write:
        return Write(SMALL, "", tentative=True)

    def token(self, step: Step) -> Decision:
        over, look_ahead = ended(step)
        if not over:
            return None
        if step.role is SMALL:
            return Judge(LARGE, drop=look_ahead)
        return Write(SMALL, "sentence_end", drop=look_ahead, tentative=True)

    def judged(self, scores: Sequence[TokenScore]) -> Write:
        if sum(score.margin for score in scores) / len(scores) >= 0.5:
            return Write(SMALL, "accepted", tentative=True)
        return Write(LARGE, "rejected", drop=len(scores))

    def leg_ended(
        self, role: ModelRole, reason: LegEnd, segment_tokens: int
    ) -> Write | Judge | None:
        if role is LARGE:
            return None
        return Judge(LARGE) if segment_tokens else Write(LARGE, str(reason))


class Glimpse(Peer):
    """The first token of a sentence is small's; if it was unsure there, the sentence is large's.

    Source: GlimpRouter, arXiv 2601.05110.
    """

    want_scores = True

    def begin(self) -> Write:
        return Write(SMALL, "", tentative=True)

    def token(self, step: Step) -> Decision:
        over, look_ahead = ended(step)
        if over:
            return Write(SMALL, "sentence_end", drop=look_ahead, tentative=True)
        if step.role is LARGE:
            return None
        assert step.score is not None
        if step.segment_tokens == step.tokens and (step.score.entropy or 0.0) > 1.0:
            return Write(LARGE, "unsure", drop=step.tokens)
        return None if step.was_pending else Keep()


class TokenRouter(Peer):
    """Small writes; where it is unsure of a token, large writes that one.

    Source: in the manner of R2R, arXiv 2505.21600.
    """

    want_scores = True

    def begin(self) -> Write:
        return Write(SMALL, "", tentative=True)

    def token(self, step: Step) -> Decision:
        if step.role is LARGE:
            return Write(SMALL, "token", tentative=True)
        assert step.score is not None
        if step.score.margin < 0.5:
            return Write(LARGE, "unsure", drop=step.tokens, max_tokens=4)
        return Keep()

    def leg_ended(
        self, role: ModelRole, reason: LegEnd, segment_tokens: int
    ) -> Write | Judge | None:
        if role is LARGE and reason is LegEnd.LENGTH and segment_tokens:
            return Write(SMALL, str(reason), tentative=True)
        return super().leg_ended(role, reason, segment_tokens)


class SpeculativeThinking(Peer):
    """Small reasons; where it doubts ("Wait"), large writes the next few tokens.

    Source: "Speculative Thinking", arXiv 2504.12329.
    """

    tokens = 4

    def begin(self) -> Write:
        return Write(SMALL, "")

    def token(self, step: Step) -> Decision:
        if step.role is SMALL:
            return None if step.cue is None else Write(LARGE, f"cue:{step.cue.cue.text}")
        return Write(SMALL, "helped") if step.segment_tokens >= self.tokens else None


PEERS = (SpecReason, Glimpse, TokenRouter, SpeculativeThinking)
