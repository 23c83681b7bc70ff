"""The relay machine: one generation on two models, without I/O.

`RelayMachine.next_actions` says what to do, `RelayMachine.receive` takes what happened and returns
what may be shown. The machine never awaits, reads no clock and holds no sockets, so that tests can
drive it through any schedule. `states.TRANSITIONS` is the table of its states.

Rule numbers in comments are those of ``docs/architecture.md``.

Source: the relay is that of Song, Kim, Kim, "RelayGen", arXiv 2602.06454; the sans-I/O form is
h11's.
"""

from __future__ import annotations

from dataclasses import replace

from relaygen.errors import ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.events import (
    Action,
    Cancel,
    Emitted,
    Event,
    Finish,
    Generate,
    LegEnded,
    LegFailed,
    Output,
    Prefill,
    Score,
    Scored,
)
from relaygen.relay.generation import Generation
from relaygen.relay.policy import Judge, Policy, Step, Write
from relaygen.relay.scanner import TextScanner
from relaygen.relay.seeds import leg_seed
from relaygen.relay.states import State, Trigger, advance
from relaygen.relay.transcript import Segment, Transcript
from relaygen.relay.vocabulary import Vocabulary
from relaygen.types import FinishReason, LegEnd, ModelRole, Stage, TokenScore, Usage

# In Python 3.11 a member of an enumeration costs 0.1 us where it is named.
_LARGE = ModelRole.LARGE
_SMALL = ModelRole.SMALL
_DONE = State.DONE
_JUDGING = State.JUDGING
_ANSWERING = frozenset({State.LARGE_ANSWERS, State.SMALL_ANSWERS})

_ANSWERS = {ModelRole.LARGE: Trigger.ANSWER_LARGE, ModelRole.SMALL: Trigger.ANSWER_SMALL}
_WRITES = {ModelRole.LARGE: Trigger.WRITE_LARGE, ModelRole.SMALL: Trigger.WRITE_SMALL}


class RelayMachine:
    """Drives one generation; feed it events until `next_actions` returned a `Finish`.

    Example:
        ```python
        machine = RelayMachine(generation, vocabulary, RelayPolicy(cues, config), config)
        for action in machine.next_actions(): ...  # Generate(leg_id=0, role=LARGE, ...)
        emitted = machine.receive(Output(0, (17, 4)))
        ```
    """

    def __init__(
        self,
        generation: Generation,
        vocabulary: Vocabulary,
        policy: Policy,
        config: RelayConfig | None = None,
    ) -> None:
        self.generation = generation
        self.policy = policy
        self.config = config or RelayConfig()
        self.state = State.START
        self.finish_reason: FinishReason | None = None
        self.error: str | None = None
        self.small_busy = False
        """Set by the caller: the large model writes on where it may, instead of handing over."""
        self.handoffs_left_out = 0
        self._transcript = Transcript(generation, vocabulary, TextScanner(policy.cues))
        self._actions: list[Action] = []
        self._leg: int | None = None  # the leg that may add to the generation
        self._leg_ends: int | None = None  # tokens of the generation at which that leg is used up
        self._leg_segments: dict[int, Segment] = {}
        self._legs = 0
        self._tentative = False
        self._judge_role = ModelRole.LARGE
        self._segment_start = 0  # in characters of the scanner
        self._segment_first = 0  # in tokens of the generation
        self._step = Step()
        self._eos_ids = {role: facts.eos_ids for role, facts in generation.writers.items()}
        self._shared_ids = generation.shared_ids
        self._max_tokens = generation.max_tokens
        self._read_ahead = self.config.read_ahead
        self._want_scores = generation.want_scores or policy.want_scores
        self._small_lost = False
        self._unshared = False
        self._read_by_other = 0
        tags = generation.tags
        self._opening: str | None = None
        self._close_id = tags.close_id if tags else None
        self._close_text = tags.close_text if tags and tags.close_id is None else None
        self._begin()

    # -- what the caller sees -----------------------------------------------------------------

    @property
    def segments(self) -> list[Segment]:
        """All segments so far, in order."""
        return self._transcript.segments

    @property
    def tokens(self) -> list[int]:
        """All generated tokens, undecided ones included."""
        return self._transcript.tokens

    @property
    def usage(self) -> Usage:
        """Token counts so far."""
        return Usage(
            prompt_tokens=len(self.generation.prompt),
            completion_tokens=len(self._transcript.tokens),
            reasoning_tokens=self._transcript.reasoning_tokens,
        )

    @property
    def small_lost(self) -> bool:
        """Whether the small model failed and the large one went on alone."""
        return self._small_lost

    def next_actions(self) -> list[Action]:
        """What to do now, in order. Each action is returned once."""
        actions, self._actions = self._actions, []
        return actions

    def receive(self, event: Event) -> list[Emitted]:
        """Takes what happened; returns what may be shown to the reader now.

        Raises:
            ProtocolError: the event does not fit the state (a bug of the caller or a policy).
        """
        if event.leg_id != self._leg:
            self._take_late(event)
        elif isinstance(event, Output) and self.state is not _JUDGING:
            self._take_output(event)
        elif isinstance(event, LegFailed):
            self._take_failure(event)
        elif isinstance(event, Scored) is not (self.state is _JUDGING):
            raise ProtocolError(f"a relay in state {self.state} cannot take {event!r:.200}")
        elif isinstance(event, LegEnded):
            self._take_leg_end(event.reason)
        elif isinstance(event, Scored):
            self._leg = None
            self._turn(self.policy.judged(event.scores))
        return self._transcript.take_emitted()

    def cancel(self) -> list[Emitted]:
        """Ends the generation because its reader is gone; `Cancel` and `Finish` are next actions."""
        if self.state is not _DONE:
            self._finish(FinishReason.CANCELLED, "cancelled")
        return self._transcript.take_emitted()

    # -- beginning and ending -----------------------------------------------------------------

    def _begin(self) -> None:
        generation = self.generation
        if generation.tags is None:
            self._write(self.policy.begin(), Stage.ANSWER)
        elif generation.first_stage is Stage.ANSWER:
            self._answer()
        else:
            self._opening = "" if generation.first_stage is None else None
            self._write(self.policy.begin(), Stage.REASONING)

    def _take_late(self, event: Event) -> None:
        """An event of a cancelled leg only adds to its overrun."""
        if not 0 <= event.leg_id < self._legs:
            raise ProtocolError(f"leg {event.leg_id} was never started: {event!r:.200}")
        if isinstance(event, Output):
            self._leg_segments[event.leg_id].overrun_tokens += len(event.token_ids)

    def _finish(self, reason: FinishReason, ended_by: str, error: str | None = None) -> None:
        if self._opening is not None:
            self._transcript.restage_held(Stage.ANSWER)  # no reasoning was opened
        if self._transcript.finish():
            reason, ended_by = FinishReason.STOP, "stop"
        self._transcript.segment.ended_by = ended_by
        self._drop_leg()
        self.state = advance(self.state, Trigger.FINISH)
        self.finish_reason = reason
        self.error = error
        self._actions.append(Finish(reason, error))

    # -- legs ---------------------------------------------------------------------------------

    def _drop_leg(self) -> None:
        if self._leg is not None:
            self._actions.append(Cancel(self._leg))
            self._leg = None

    def _generate(self, max_tokens: int | None) -> None:
        """Starts a leg for the current segment. Rule 1: its prompt is exactly what was kept."""
        generation, segment = self.generation, self._transcript.segment
        role = segment.role
        done = len(self._transcript.tokens)
        prompt = self._prefix()
        limit = generation.max_tokens - done
        if max_tokens is not None:
            limit = min(limit, max_tokens)
        writer = generation.writers[role]
        seed = None
        if generation.seed is not None:
            seed = leg_seed(generation.seed, generation.choice_index, len(prompt), role)
        sampling = writer.sampling
        if sampling.seed != seed:
            sampling = replace(sampling, seed=seed)
        leg_id = self._next_leg()
        segment.legs.append(leg_id)
        self._leg_segments[leg_id] = segment
        self._leg_ends = None if max_tokens is None else done + limit
        self._read_by_other = done
        self._actions.append(
            Generate(
                leg_id=leg_id,
                role=role,
                stage=segment.stage,
                prompt_tokens=prompt,
                generated_from=len(generation.prompt),
                max_tokens=limit,
                stop_hints=(),
                sampling=sampling,
                eos_ids=writer.eos_ids,
                want_scores=self._want_scores,
                top_logprobs=generation.top_logprobs,
            )
        )

    def _prefix(self) -> tuple[int, ...]:
        return self.generation.prompt + tuple(self._transcript.tokens)

    def _next_leg(self) -> int:
        self._leg = self._legs
        self._legs += 1
        return self._leg

    def _write(self, decision: Write, stage: Stage) -> None:
        """Gives the word to a role, in the stage in which the policy decides."""
        role = decision.role
        self.state = advance(self.state, _WRITES[role])
        self._transcript.open_segment(role, stage)
        self._segment_start = self._transcript.scanner.offset
        self._segment_first = len(self._transcript.tokens)
        self._tentative = decision.tentative
        if decision.tentative or self._opening is not None:
            self._transcript.mark()
        self._generate(decision.max_tokens)

    def _answer(self) -> None:
        """Rule 7: who answers depends on how much was reasoned."""
        role = self.config.answer_role or self.policy.answer_role(self._transcript.reasoning_tokens)
        if role is ModelRole.SMALL and (self._small_out or self._leaves_out_handoff()):
            role = ModelRole.LARGE
        self.state = advance(self.state, _ANSWERS[role])
        self._tentative = False
        leg = self._leg
        goes_on = (
            leg is not None and self._leg_ends is None and self._transcript.segment.role is role
        )
        if not goes_on:
            self._drop_leg()
        segment = self._transcript.open_segment(role, Stage.ANSWER)
        if goes_on and leg is not None:
            segment.legs.append(leg)
            self._leg_segments[leg] = segment
        else:
            self._generate(None)

    @property
    def _small_out(self) -> bool:
        """Whether the small model cannot write any more in this generation."""
        return self._small_lost or self._unshared

    def _leaves_out_handoff(self) -> bool:
        """Whether the small model, whose turn it is, is too busy to follow on the large one."""
        segments = self._transcript.segments
        left_out = self.small_busy and bool(segments) and segments[-1].role is ModelRole.LARGE
        self.handoffs_left_out += left_out
        return left_out

    # -- one token ----------------------------------------------------------------------------

    def _take_output(self, event: Output) -> None:
        """Rule 4: one token at a time, however many arrive together."""
        ids, scores = event.token_ids, event.scores
        for index, token_id in enumerate(ids):
            self._take_token(token_id, scores[index] if scores is not None else None)
            if self._leg != event.leg_id:
                self._leg_segments[event.leg_id].overrun_tokens += len(ids) - index - 1
                return

    def _take_token(self, token_id: int, score: TokenScore | None) -> None:
        role = self._transcript.segment.role
        if token_id in self._eos_ids[role]:
            self._take_eos(token_id, score)
        elif self._shared_ids is not None and not self._check_shared(token_id, role):
            pass
        elif self.state in _ANSWERING:
            self._transcript.push(token_id, score, scan=False)
            self._keep()
        elif self._opening is not None:
            self._take_opening(token_id, score)
        elif token_id == self._close_id:
            self._take_close(token_id, score)
        else:
            self._take_written(token_id, score)

    def _take_written(self, token_id: int, score: TokenScore | None) -> None:
        """A token in the stage in which the policy decides."""
        transcript, step = self._transcript, self._step
        scanner = transcript.scanner
        inside = transcript.inside_code_point
        fresh = inside and len(transcript.tokens) == self._segment_first
        if fresh:
            scanner.dismiss()  # what could be dropped is the segment's before
        if fresh or not inside:
            step.was_pending = scanner.pending and not fresh
            if step.was_pending or scanner.waiting or self._close_text is not None:
                transcript.mark()
            step.start = scanner.offset
            step.position = len(transcript.tokens)
            step.text = ""
            step.ends = ()
            step.cue = None
        text, scan = transcript.push(token_id, score, scan=True)
        step.text = step.text + text if step.text else text
        if scan:
            step.ends += scan.ends
            step.cue = step.cue or scan.cue
            if scan.cue is not None and scan.cue.confirmed and scan.cue.end > step.start:
                # Its own token cannot be dropped with the rest of the code point that confirmed it.
                step.cue = replace(scan.cue, confirmed=False)
        if transcript.inside_code_point:  # Rule 2: no decision inside a code point
            self._check_limit()
            return
        if self._close_text is not None and self._take_close_text():
            return
        segment = transcript.segment
        step.role = segment.role
        step.token_id = token_id
        step.tokens = len(transcript.tokens) - step.position
        step.segment_start = self._segment_start
        step.segment_tokens = len(segment.token_ids)
        step.score = score
        decision = self.policy.token(step)
        if isinstance(decision, Write):
            self._turn(decision)
        elif isinstance(decision, Judge):
            self._judge(decision)
        elif decision is None and self._tentative:
            self._check_limit()
        elif self._tentative or self._close_text is not None:
            self._keep_unless_tag()
        else:
            self._keep()

    def _keep_unless_tag(self) -> None:
        """Keeps what is held, except where it may be the beginning of a closing tag."""
        if self._close_text is not None and self._begun_tag():
            self._check_limit()
            return
        self._keep()
        if self._tentative:
            self._transcript.mark()

    def _keep(self) -> None:
        if self._transcript.keep():
            self._finish(FinishReason.STOP, "stop")
        elif len(self._transcript.tokens) >= self._max_tokens:
            self._finish(FinishReason.LENGTH, "length")
        elif self._read_ahead:
            self._hint_other()

    def _check_limit(self) -> None:
        """Rule 8: limits hold over the whole generation."""
        if len(self._transcript.tokens) >= self._max_tokens:
            self._finish(FinishReason.LENGTH, "length")

    def _hint_other(self) -> None:
        done = len(self._transcript.tokens)
        if done - self._read_by_other < self.config.read_ahead or self._small_out:
            return
        if self.state in (State.LARGE_WRITES, State.SMALL_WRITES):
            self._read_by_other = done
            other = self._transcript.segment.role.other
            prompt = self._prefix()
            if other in self.generation.writers:
                self._actions.append(Prefill(role=other, prompt_tokens=prompt))

    def _check_shared(self, token_id: int, role: ModelRole) -> bool:
        """Rule 1: an id that only one model knows is never sent to the other."""
        shared = self._shared_ids
        if shared is None or token_id in shared or role.other not in self.generation.writers:
            return True
        if role is ModelRole.SMALL:
            self._transcript.segment.overrun_tokens += 1
            self._refuse("unshared_token")
            return False
        self._unshared = True
        return True

    # -- decisions ----------------------------------------------------------------------------

    def _turn(self, decision: Write) -> None:
        """Carries out a `Write`: takes back, keeps the rest, starts the next segment."""
        transcript = self._transcript
        segment = transcript.segment
        if decision.role is ModelRole.SMALL:
            may_go_on = (
                segment.role is ModelRole.LARGE and self._leg is not None and not self._tentative
            )
            if may_go_on and (self._small_out or self._leaves_out_handoff()):
                self._keep_unless_tag()  # it writes on
                return
        if decision.role is ModelRole.SMALL and self._small_out:
            decision = replace(decision, role=ModelRole.LARGE, tentative=False, max_tokens=None)
        self._take_back(decision.drop, decision.role)
        if transcript.keep():
            self._finish(FinishReason.STOP, "stop")
            return
        self._check_limit()
        if self.state is _DONE:
            return
        segment.ended_by = decision.reason
        self._drop_leg()
        if self.state in _ANSWERING:
            self.state = advance(self.state, _ANSWERS[decision.role])
            transcript.open_segment(decision.role, Stage.ANSWER)
            self._generate(None)
        else:
            self._write(decision, segment.stage)

    def _take_back(self, drop: int, goes_on: ModelRole) -> None:
        """Takes back what a decision drops, and what must not stay without its continuation."""
        transcript = self._transcript
        if self._opening is not None:  # the next writer opens the reasoning anew
            drop = transcript.undecided
            self._opening = ""
        if drop:
            transcript.take_back(drop)
            cue = self._step.cue
            if cue is not None and cue.confirmed:
                transcript.scanner.dismiss()
        segment = transcript.segment
        if segment.role is _SMALL and self._close_text is not None and transcript.undecided:
            count = transcript.tokens_holding(begun) if (begun := self._begun_tag()) else 0
            # The small model would write an emptied segment just so again.
            if count and (goes_on is _LARGE or count < len(segment.token_ids)):
                transcript.take_back(count)

    def _judge(self, decision: Judge) -> None:
        transcript = self._transcript
        if transcript.undecided <= decision.drop:
            raise ProtocolError("a policy wants a segment judged of which nothing is undecided")
        self._take_back(decision.drop, _LARGE)
        if not transcript.undecided:  # it was only the beginning of a closing tag
            self._turn(Write(transcript.segment.role.other, "close_tag"))
            return
        self._drop_leg()
        self.state = advance(self.state, Trigger.JUDGE)
        self._judge_role = decision.role
        self._score()

    def _score(self) -> None:
        transcript = self._transcript
        prompt = self._prefix()
        leg_id = self._next_leg()
        self._leg_segments[leg_id] = transcript.segment
        self._actions.append(
            Score(
                leg_id=leg_id,
                role=self._judge_role,
                prompt_tokens=prompt,
                from_token=len(prompt) - transcript.undecided,
            )
        )

    def _refuse(self, reason: str, drop: int = 0) -> None:
        """A token that does not count ends its writer's leg, and the other role goes on.

        The policy is asked as after an end of sequence, for it may count what was kept.
        """
        segment = self._transcript.segment
        decision = self._ask_at_end(LegEnd.EOS, drop)
        if isinstance(decision, Judge):
            self._judge(replace(decision, drop=decision.drop + drop))
            return
        if not isinstance(decision, Write):
            decision = Write(segment.role.other, reason)
        self._turn(
            replace(decision, role=segment.role.other, reason=reason, drop=decision.drop + drop)
        )

    # -- ends of legs and stages --------------------------------------------------------------

    def _take_leg_end(self, reason: LegEnd) -> None:
        self._leg = None
        answering = self.state in _ANSWERING
        decision = None if answering else self._ask_at_end(reason)
        if decision is not None:
            self._turn_or_judge(decision)
        elif reason is LegEnd.LENGTH:
            self._finish(FinishReason.LENGTH, "length")
        else:
            self._finish(FinishReason.STOP, str(reason))

    def _ask_at_end(self, reason: LegEnd, drop: int = 0) -> Write | Judge | None:
        segment = self._transcript.segment
        kept = len(segment.token_ids) - drop
        decision = self.policy.leg_ended(segment.role, reason, kept)
        if isinstance(decision, Judge):
            undecided = 0 if self._opening is not None else self._transcript.undecided
            if undecided <= decision.drop + drop:
                return Write(segment.role.other, str(reason))  # there is nothing to judge
            return decision
        only_small = self._small_out and segment.role is ModelRole.LARGE
        if only_small and decision is not None and decision.role is ModelRole.SMALL:
            if reason is LegEnd.LENGTH and self._leg_ends == len(self._transcript.tokens):
                return Write(_LARGE, str(reason))  # only the leg was limited, for a small one after
            return None  # the large model would only end again, and again
        return decision

    def _turn_or_judge(self, decision: Write | Judge) -> None:
        if isinstance(decision, Judge):
            self._judge(decision)
        else:
            self._turn(decision)

    def _take_eos(self, token_id: int, score: TokenScore | None) -> None:
        """Rules 7, 8 and 10: an end, a handback, or a forced answer."""
        transcript = self._transcript
        segment = transcript.segment
        answering = self.state in _ANSWERING
        if not answering:
            decision = self._ask_at_end(LegEnd.EOS)
            if decision is not None:
                segment.overrun_tokens += 1
                self._turn_or_judge(decision)
                return
            if self._force_answer():
                segment.overrun_tokens += 1
                return
        transcript.push_silent(token_id, score)
        self._finish(FinishReason.STOP, "eos")

    def _force_answer(self) -> bool:
        """Ends the reasoning for the model where the configuration says so."""
        tags = self.generation.tags
        if not self.config.force_answer or tags is None or self._opening is not None:
            return False
        room = self.generation.max_tokens - len(self._transcript.tokens)
        if not tags.forced_close_ids or room <= len(tags.forced_close_ids):
            return False
        self._drop_leg()
        for token_id in tags.forced_close_ids:
            self._transcript.push_tag(token_id)
        self._transcript.keep()
        self._transcript.segment.ended_by = "forced_answer"
        self._answer()
        return True

    def _take_opening(self, token_id: int, score: TokenScore | None) -> None:
        """Rule 7, for models that open their reasoning themselves: do the first tokens do it?"""
        tags, transcript = self.generation.tags, self._transcript
        if tags is None or self._opening is None:
            return
        text, _ = transcript.push(token_id, score, scan=False)
        self._opening += text
        begun = self._opening.lstrip()
        if begun.startswith(tags.open_text):
            transcript.retag_held(tags.open_text, None)
            self._opening = None
            self._segment_first = len(transcript.tokens)
            self._keep()
            if self._tentative:
                transcript.mark()
        elif tags.open_text.startswith(begun):
            self._check_limit()
        else:
            self._opening = None
            transcript.restage_held(Stage.ANSWER)
            self.state = advance(self.state, _ANSWERS[transcript.segment.role])
            self._tentative = False
            self._keep()
            if self._leg_ends is not None and self.state is not _DONE:
                self._drop_leg()  # it was asked for less than an answer
                self._generate(None)

    def _take_close(self, token_id: int, score: TokenScore | None) -> None:
        """Rule 7: the large model's ``</think>`` ends the reasoning, the small one's is dropped."""
        transcript = self._transcript
        role = transcript.segment.role
        if not self.policy.may_end_reasoning(role):
            transcript.segment.overrun_tokens += 1
            self._refuse("close_tag")
            return
        transcript.push_tag(token_id, score)
        self._end_reasoning()

    def _end_reasoning(self) -> None:
        if self._transcript.keep():
            self._finish(FinishReason.STOP, "stop")
            return
        self._transcript.segment.ended_by = "reasoning_end"
        self._check_limit()
        if self.state is not _DONE:
            self._answer()

    def _begun_tag(self) -> int:
        """How many characters at the end of the held text may begin a closing tag."""
        tail, tag = self._transcript.held_text, self._close_text or ""
        sizes = range(min(len(tag), len(tail)), 0, -1)
        return next((size for size in sizes if tail.endswith(tag[:size])), 0)

    def _take_close_text(self) -> bool:
        """The closing tag, where it is several tokens: matched as text in what is held."""
        transcript, tag = self._transcript, self._close_text
        if tag is None or tag not in transcript.held_text:
            return False
        role = transcript.segment.role
        if not self.policy.may_end_reasoning(role):
            held = transcript.held_text
            own = transcript.tokens_holding(len(held) - held.index(tag))
            self._refuse("close_tag", drop=own)
            return True
        transcript.retag_held(tag, Stage.ANSWER)
        self._end_reasoning()
        return True

    def _take_failure(self, event: LegFailed) -> None:
        """Nothing that was written is lost: repeat, degrade to the large model, or end clearly."""
        segment = self._transcript.segment
        judging = self.state is _JUDGING
        self._leg = None
        if event.retryable and judging:
            self._score()
        elif event.retryable:
            self._repeat_leg()
        elif segment.role is ModelRole.LARGE or judging:
            self._finish(FinishReason.ERROR, "failed", event.error)
        else:
            self._lose_small(event.error)

    def _repeat_leg(self) -> None:
        left = None
        if self._leg_ends is not None:
            left = self._leg_ends - len(self._transcript.tokens)
        if left == 0:  # all that it was asked for had arrived
            self._take_leg_end(LegEnd.LENGTH)
        else:
            self._generate(left)

    def _lose_small(self, error: str) -> None:
        decision = self._ask_at_end(LegEnd.FAILED)
        if decision is None:
            self._finish(FinishReason.ERROR, "failed", error)
            return
        self._small_lost = True
        if isinstance(decision, Judge):
            self._judge(decision)
        else:
            drop = self._transcript.undecided if self._tentative else 0
            self._turn(replace(decision, drop=drop))
