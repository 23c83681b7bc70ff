"""Ends before the end: a leg that stops by itself, a token that does not count, a failure."""

from __future__ import annotations

from dataclasses import replace

from relaygen.relay.config import RelayConfig
from relaygen.relay.events import LegFailed
from relaygen.relay.generation import Generation
from relaygen.relay.legs import Legs
from relaygen.relay.policy import Judge, Policy, Write
from relaygen.relay.states import State
from relaygen.relay.transcript import Transcript
from relaygen.relay.turns import Turns
from relaygen.types import FinishReason, LegEnd, ModelRole, TokenScore


class Endings:
    """Tells a handback from an end of the generation; the policy is asked first."""

    def __init__(
        self,
        generation: Generation,
        policy: Policy,
        config: RelayConfig,
        transcript: Transcript,
        legs: Legs,
        turns: Turns,
    ) -> None:
        tags = generation.tags
        self._forced_close_ids = tags.forced_close_ids if tags and config.force_answer else ()
        self._max_tokens = generation.max_tokens
        self._policy = policy
        self._transcript = transcript
        self._legs = legs
        self._turns = turns

    def eos(self, token_id: int, score: TokenScore | None) -> None:
        """Rules 7, 8 and 10: an end-of-sequence is an end, a handback, or a forced answer."""
        turns, segment = self._turns, self._transcript.segment
        if not turns.answering:
            decision = self._ask(LegEnd.EOS)
            if decision is not None:
                segment.overrun_tokens += 1
                self._carry_out(decision)
                return
            if self._force_answer():
                segment.overrun_tokens += 1
                return
        self._transcript.push_silent(token_id, score)
        turns.finish(FinishReason.STOP, "eos")

    def leg_ended(self, reason: LegEnd) -> None:
        """The leg ended by itself."""
        self._legs.ended()
        if reason is LegEnd.STOP_HINT:
            if self._legs.left == 0:
                reason = LegEnd.LENGTH
            elif self._legs.go_on(hinted=self._turns.awaits_cues):
                return  # too early: nothing that counts has ended
        decision = None if self._turns.answering else self._ask(reason)
        if decision is not None:
            self._carry_out(decision)
        elif reason is LegEnd.LENGTH:
            self._turns.finish(FinishReason.LENGTH, "length")
        else:
            self._turns.finish(FinishReason.STOP, str(reason))

    def refuse(self, reason: str, drop: int = 0) -> None:
        """A token that does not count ends its writer's leg, and the other role goes on.

        The policy is asked as after an end of sequence, for it may count what was kept.
        """
        other = self._transcript.segment.role.other
        decision = self._ask(LegEnd.EOS, drop) or Write(other, reason)
        decision = replace(decision, drop=decision.drop + drop)
        if isinstance(decision, Write):
            decision = replace(decision, role=other, reason=reason)
        self._carry_out(decision)

    def failed(self, event: LegFailed) -> None:
        """Nothing that was written is lost: repeat, degrade to the large model, or end clearly."""
        role = self._transcript.segment.role
        judging = self._turns.state is State.JUDGING
        self._legs.ended()
        if event.retryable and self._legs.left == 0:  # all that it was asked for had arrived
            self.leg_ended(LegEnd.LENGTH)
        elif event.retryable:
            self._legs.repeat()
        elif role is ModelRole.LARGE or judging:
            self._turns.finish(FinishReason.ERROR, "failed", event.error)
        else:
            self._lose_small(event.error)

    def _lose_small(self, error: str) -> None:
        decision = self._ask(LegEnd.FAILED)
        if decision is None:
            self._turns.finish(FinishReason.ERROR, "failed", error)
            return
        self._turns.small_lost = True
        if isinstance(decision, Write):
            drop = self._transcript.undecided if self._turns.tentative else 0
            decision = replace(decision, drop=drop)
        self._carry_out(decision)

    def _carry_out(self, decision: Write | Judge) -> None:
        if isinstance(decision, Judge):
            self._turns.judge(decision)
        else:
            self._turns.turn(decision)

    def _ask(self, reason: LegEnd, drop: int = 0) -> Write | Judge | None:
        """What the policy makes of an end, as far as the models at hand can do it."""
        transcript, turns = self._transcript, self._turns
        segment = transcript.segment
        decision = self._policy.leg_ended(segment.role, reason, len(segment.token_ids) - drop)
        if isinstance(decision, Judge):
            undecided = 0 if turns.opening else transcript.undecided
            if undecided <= decision.drop + drop:
                return Write(segment.role.other, str(reason))  # there is nothing to judge
            return decision
        alone = turns.small_out and segment.role is ModelRole.LARGE
        if alone and decision is not None and decision.role is ModelRole.SMALL:
            if reason is LegEnd.LENGTH and self._legs.left == 0:
                # Only the leg was limited, for a small one after it.
                return Write(ModelRole.LARGE, str(reason))
            return None  # the large model would only end again, and again
        return decision

    def _force_answer(self) -> bool:
        """Ends the reasoning for the model where the configuration says so."""
        room = self._max_tokens - len(self._transcript.tokens)
        forced = self._forced_close_ids
        if not forced or room <= len(forced) or self._turns.opening:
            return False
        self._legs.drop()
        for token_id in forced:
            self._transcript.push_tag(token_id)
        self._transcript.keep()
        self._transcript.segment.ended_by = "forced_answer"
        self._turns.answer()
        return True
