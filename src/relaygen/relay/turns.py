"""Turn-taking: which model has the word, and how it passes on."""

from __future__ import annotations

from dataclasses import replace

from relaygen.errors import ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.events import Finish
from relaygen.relay.generation import Generation
from relaygen.relay.legs import Legs
from relaygen.relay.policy import Judge, Policy, Step, Write
from relaygen.relay.states import State, Trigger, advance
from relaygen.relay.transcript import Transcript
from relaygen.types import FinishReason, ModelRole, Stage

_ANSWERING = frozenset({State.LARGE_ANSWERS, State.SMALL_ANSWERS})
_ANSWERS = {ModelRole.LARGE: Trigger.ANSWER_LARGE, ModelRole.SMALL: Trigger.ANSWER_SMALL}
_WRITES = {ModelRole.LARGE: Trigger.WRITE_LARGE, ModelRole.SMALL: Trigger.WRITE_SMALL}


class Turns:
    """The state of a generation (`states.TRANSITIONS`) and everything that moves it on.

    Attributes:
        state: where the generation is.
        answering: the policy is not asked any more; one model writes the answer.
        opening: whether the model opens its reasoning is not known yet; all is held.
        tentative: the policy keeps the current segment later, or does not.
        small_lost: the small model failed.
        unshared: a token was kept that the small model does not know.
        small_busy: the large model writes on where it may, instead of handing over.
        handoffs_left_out: how often it did.
        step: the newest token, as the policy saw it.
        finish_reason: why it ended, once it has.
        error: for the reader, if it ended by one.
    """

    def __init__(
        self,
        generation: Generation,
        policy: Policy,
        config: RelayConfig,
        transcript: Transcript,
        legs: Legs,
    ) -> None:
        self.state = State.START
        self.answering = False
        self.opening = False
        self.tentative = False
        self.small_lost = False
        self.unshared = False
        self.small_busy = False
        self.handoffs_left_out = 0
        self.step = Step()
        self.finish_reason: FinishReason | None = None
        self.error: str | None = None
        self._policy = policy
        self._answer_role = config.answer_role
        self._read_ahead = config.read_ahead
        self._max_tokens = generation.max_tokens
        self._transcript = transcript
        self._legs = legs

    @property
    def small_out(self) -> bool:
        """Whether the small model cannot write any more in this generation."""
        return self.small_lost or self.unshared

    @property
    def awaits_cues(self) -> bool:
        """Whether the end of a sentence, or a cue, would now pass the word on."""
        return not (self.answering or self.small_out or self.small_busy)

    def _leaves_out_handoff(self) -> bool:
        """Whether the small model, whose turn it is, is too busy to follow on the large one."""
        segments = self._transcript.segments
        left_out = self.small_busy and bool(segments) and segments[-1].role is ModelRole.LARGE
        self.handoffs_left_out += left_out
        return left_out

    def _advance(self, trigger: Trigger) -> None:
        self.state = advance(self.state, trigger)
        self.answering = self.state in _ANSWERING

    # -- giving the word ----------------------------------------------------------------------

    def write(self, decision: Write, stage: Stage) -> None:
        """Gives the word to a role, where the policy goes on deciding."""
        self._advance(_WRITES[decision.role])
        self._transcript.open_segment(decision.role, stage)
        self.tentative = decision.tentative
        if self.tentative or self.opening:
            self._transcript.mark()
        hints = () if self.small_out else decision.stop_hints
        self._legs.write(decision.max_tokens, hints)

    def answer(self) -> None:
        """Gives the word for the answer. Rule 7: to whom depends on how much was reasoned."""
        role = self._answer_role or self._policy.answer_role(self._transcript.reasoning_tokens)
        if role is ModelRole.SMALL and (self.small_out or self._leaves_out_handoff()):
            role = ModelRole.LARGE
        goes_on = (
            self._legs.current is not None
            and self._legs.left is None
            and self._transcript.segment.role is role
        )
        if not goes_on:
            self._legs.drop()
        self._advance(_ANSWERS[role])
        self.tentative = False
        self._transcript.open_segment(role, Stage.ANSWER)
        if goes_on:
            self._legs.join_segment()
        else:
            self._legs.write()

    def answer_here(self) -> None:
        """What is written turns out to be the answer, for no reasoning was opened."""
        self.opening = False
        self.tentative = False
        self._transcript.restage(Stage.ANSWER)
        self._advance(_ANSWERS[self._transcript.segment.role])
        self.keep()
        if self._legs.left is not None and self.finish_reason is None:
            self._legs.drop()  # it was asked for less than an answer
            self._legs.write()

    def turn(self, decision: Write) -> None:
        """Carries out a `Write`: takes back, keeps the rest, starts the next segment."""
        transcript, segment = self._transcript, self._transcript.segment
        if decision.role is ModelRole.SMALL:
            writing = self._legs.current is not None and not self.tentative
            may_go_on = segment.role is ModelRole.LARGE and writing
            if may_go_on and (self.small_out or self._leaves_out_handoff()):
                self.keep_but_tag()
                return
        if decision.role is ModelRole.SMALL and self.small_out:
            decision = replace(decision, role=ModelRole.LARGE, tentative=False, max_tokens=None)
        self._take_back(decision.drop, decision.role)
        if not self.settle():
            return
        segment.ended_by = decision.reason
        self._legs.drop()
        if self.answering:
            self._advance(_ANSWERS[decision.role])
            transcript.open_segment(decision.role, Stage.ANSWER)
            self._legs.write()
        else:
            self.write(decision, segment.stage)

    def judge(self, decision: Judge) -> None:
        """Carries out a `Judge`: stops the writer and has the other model score what it wrote.

        Raises:
            ProtocolError: there is nothing to score.
        """
        transcript = self._transcript
        if transcript.undecided <= decision.drop:
            raise ProtocolError("a policy wants a segment judged of which nothing is undecided")
        self._take_back(decision.drop, ModelRole.LARGE)
        if not transcript.undecided:  # it was only the beginning of a closing tag
            self.turn(Write(transcript.segment.role.other, "close_tag"))
            return
        self._legs.drop()
        self._advance(Trigger.JUDGE)
        self._legs.score(decision.role)

    def _take_back(self, drop: int, next_role: ModelRole) -> None:
        """Takes back what a decision drops, and what must not stay without its continuation."""
        transcript, segment = self._transcript, self._transcript.segment
        if self.opening:  # the next writer opens the reasoning anew
            drop = transcript.undecided
        if drop:
            transcript.take_back(drop)
            if self.step.cue is not None and self.step.cue.confirmed:
                transcript.scanner.dismiss()
        if segment.role is ModelRole.SMALL and transcript.undecided:
            begun = transcript.held.begun_tag
            count = transcript.undecided_holding(begun) if begun else 0
            # The small model would write an emptied segment just so again.
            if count and (next_role is ModelRole.LARGE or count < len(segment.token_ids)):
                transcript.take_back(count)

    # -- keeping ------------------------------------------------------------------------------

    def settle(self) -> bool:
        """Keeps what is held; returns whether the generation goes on (rules 8 and 10)."""
        if self._transcript.keep():
            self.finish(FinishReason.STOP, "stop")
            return False
        return self.check_limit()

    def keep(self) -> None:
        """Keeps what is held, and the same leg goes on."""
        goes_on = self.settle()
        if self._read_ahead and goes_on and not self.answering and not self.small_out:
            self._legs.hint()

    def keep_but_tag(self) -> None:
        """Does what `keep` does, except where the text may end with the beginning of a tag."""
        if self._transcript.held.begun_tag:
            self.check_limit()
        else:
            self.keep()
        if self.tentative:
            self._transcript.mark()

    def check_limit(self) -> bool:
        """Rule 8: limits hold over the whole generation; returns whether it goes on."""
        if len(self._transcript.tokens) < self._max_tokens:
            return True
        self.finish(FinishReason.LENGTH, "length")
        return False

    def finish(self, reason: FinishReason, ended_by: str, error: str | None = None) -> None:
        """Ends the generation, unless what is still held completes a stop string: that ends it."""
        if self.opening:
            self._transcript.restage(Stage.ANSWER)  # no reasoning was opened
        if self._transcript.finish():
            reason, ended_by, error = FinishReason.STOP, "stop", None
        self._transcript.segment.ended_by = ended_by
        self._legs.drop()
        self._advance(Trigger.FINISH)
        self.finish_reason = reason
        self.error = error
        self._legs.actions.append(Finish(reason, error))
