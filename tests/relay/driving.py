"""Plays relay machines without engines, and checks the laws that hold in every play.

A writer is a function from a leg's prefix to its next token, so that what a model writes does not
depend on how the play is cut into outputs.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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
from relaygen.relay.machine import RelayMachine
from relaygen.relay.states import State
from relaygen.types import LegEnd, ModelRole, Stage, TokenScore

LARGE, SMALL = ModelRole.LARGE, ModelRole.SMALL

Writer = Callable[[Sequence[int]], int]
Judgement = Callable[[Sequence[int]], TokenScore]
Decoder = Callable[[Sequence[int]], str]
SURE = TokenScore(logprob=-0.01, margin=0.95, entropy=0.05)
UNSURE = TokenScore(logprob=-2.0, margin=0.05, entropy=2.0)


@dataclass(frozen=True)
class Break:
    """A leg fails after so many tokens."""

    after: int = 0
    retryable: bool = True


@dataclass
class Play:
    """What happened."""

    machine: RelayMachine
    emitted: list[Emitted] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    produced: int = 0

    @property
    def legs(self) -> list[Generate]:
        return [a for a in self.actions if isinstance(a, Generate)]

    @property
    def prefills(self) -> list[Prefill]:
        return [a for a in self.actions if isinstance(a, Prefill)]

    @property
    def finish(self) -> Finish:
        last = self.actions[-1]
        assert isinstance(last, Finish)
        return last

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.emitted)

    def stage_text(self, stage: Stage) -> str:
        return "".join(p.text for p in self.emitted if p.stage is stage and not p.is_tag)

    @property
    def reasoning(self) -> str:
        return self.stage_text(Stage.REASONING)

    @property
    def answer(self) -> str:
        return self.stage_text(Stage.ANSWER)

    @property
    def tags(self) -> list[str]:
        return [part.text for part in self.emitted if part.is_tag]

    @property
    def turns(self) -> list[tuple[str, str, str]]:
        """(role, text, why it ended) of each segment."""
        return [(str(s.role), s.text, s.ended_by) for s in self.machine.segments]

    @property
    def overrun(self) -> int:
        return sum(segment.overrun_tokens for segment in self.machine.segments)


class _Leg:
    """One engine call of the play."""

    def __init__(
        self, action: Generate, writer: Writer, score: Judgement, decode: Decoder | None
    ) -> None:
        self.action = action
        self._writer = writer
        self._score = score
        self._decode = decode
        self.prefix = list(action.prompt_tokens)
        self.count = 0
        self.end: LegEnd | None = None

    def write(self, tokens: int) -> Output:
        first = len(self.prefix)
        scores = []
        while len(self.prefix) - first < tokens and self.end is None:
            scores.append(self._score(self.prefix))
            self.prefix.append(self._writer(self.prefix))
            self.count += 1
            if self.prefix[-1] in self.action.eos_ids:
                self.end = LegEnd.EOS
            elif self.count == self.action.max_tokens:
                self.end = LegEnd.LENGTH
            elif self._stopped():
                self.end = LegEnd.STOP_HINT
        wanted = tuple(scores) if self.action.want_scores else None
        return Output(self.action.leg_id, tuple(self.prefix[first:]), wanted)

    def _stopped(self) -> bool:
        if self._decode is None or not self.action.stop_hints:
            return False
        text = self._decode(self.prefix[len(self.action.prompt_tokens) :])
        return any(hint in text for hint in self.action.stop_hints)


def drive(
    machine: RelayMachine,
    writers: Mapping[ModelRole, Writer],
    *,
    sizes: Iterable[int] = itertools.repeat(1),
    breaks: Mapping[int, Break] | None = None,
    late: int = 0,
    score: Judgement = lambda prefix: SURE,
    cancel_after: int | None = None,
    hinted: Decoder | None = None,
) -> Play:
    """Answers the machine until it is done.

    Args:
        machine: fresh.
        writers: one a role.
        sizes: tokens of each output.
        breaks: by the number of the leg.
        late: tokens that a leg still delivers after it was cancelled.
        score: of the token after a prefix, by whichever model.
        cancel_after: the reader leaves after so many outputs.
        hinted: tells text from tokens; given, legs end at their stop hints.
    """
    play = Play(machine)
    size: Iterator[int] = iter(sizes)
    leg: _Leg | None = None
    judged: Score | None = None
    cancelled: set[int] = set()

    def tell(event: Event) -> None:
        play.emitted += machine.receive(event)

    for step in itertools.count():
        assert step < 5_000, "the machine does not end"
        for action in machine.next_actions():
            play.actions.append(action)
            if isinstance(action, Cancel):
                judged = None
                if leg is not None:
                    assert leg.action.leg_id == action.leg_id
                    play.produced += late_output(leg, late, tell)
                    leg = None
                assert action.leg_id not in cancelled
                cancelled.add(action.leg_id)
            elif isinstance(action, Generate | Score):
                assert leg is judged is None, "two legs at once"
                assert list(action.prompt_tokens) == [*machine.generation.prompt, *machine.tokens]
                if isinstance(action, Generate):
                    room = machine.generation.max_tokens - len(machine.tokens)
                    assert 1 <= action.max_tokens <= room
                    assert action.generated_from == len(machine.generation.prompt)
                    leg = _Leg(action, writers[action.role], score, hinted)
                else:
                    judged = action
            elif isinstance(action, Finish):
                assert leg is judged is None
                assert machine.state is State.DONE
                assert machine.next_actions() == []
                return play
        if cancel_after is not None and step == cancel_after:
            play.emitted += machine.cancel()
        elif judged is not None:
            ask, judged = judged, None
            spans = range(ask.from_token, len(ask.prompt_tokens))
            tell(Scored(ask.leg_id, tuple(score(ask.prompt_tokens[:i]) for i in spans)))
        else:
            assert leg is not None, "the machine waits for nothing"
            leg_id = leg.action.leg_id
            fault = (breaks or {}).get(leg_id)
            wanted = next(size) if fault is None else min(next(size), fault.after - leg.count)
            output = leg.write(wanted)
            play.produced += len(output.token_ids)
            if output.token_ids:
                tell(output)
            end = leg.end
            if end is None and fault is not None and leg.count >= fault.after:
                tell(LegFailed(leg_id, "broken", fault.retryable))
            elif end is not None:
                tell(LegEnded(leg_id, end))
            else:
                continue
            leg = None
    raise AssertionError


def late_output(leg: _Leg, tokens: int, tell: Callable[[Event], None]) -> int:
    if not tokens:
        return 0
    output = leg.write(tokens)
    tell(output)
    tell(LegEnded(leg.action.leg_id, LegEnd.LENGTH))
    return len(output.token_ids)


def check_laws(play: Play, decode: Callable[[Sequence[int]], str]) -> None:
    """What holds however a play went."""
    machine = play.machine
    generation = machine.generation
    tokens = machine.tokens
    assert [i for s in machine.segments for i in s.token_ids] == tokens
    assert [i for part in play.emitted for i in part.token_ids] == tokens
    for index, segment in enumerate(machine.segments):
        parts = [part for part in play.emitted if part.segment == index]
        assert "".join(part.text for part in parts) == segment.text
        assert {part.role for part in parts} <= {segment.role}
        if generation.want_scores:
            assert len(segment.scores) == len(segment.token_ids)
            assert sum(len(part.scores or ()) for part in parts) == sum(
                len(part.token_ids) for part in parts
            )
    assert len(tokens) <= generation.max_tokens
    forced = 0
    if generation.tags and any(s.ended_by == "forced_answer" for s in machine.segments):
        forced = len(generation.tags.forced_close_ids)
    assert len(tokens) - forced + play.overrun == play.produced

    usage = machine.usage
    assert usage.completion_tokens == len(tokens)
    assert usage.prompt_tokens == len(generation.prompt)
    reasoned = [s for s in machine.segments if s.stage is Stage.REASONING]
    assert usage.reasoning_tokens == sum(len(s.token_ids) for s in reasoned)

    eos_ids = {i for writer in generation.writers.values() for i in writer.eos_ids}
    whole = decode([i for i in tokens if i not in eos_ids])
    assert whole.startswith(play.text)
    if not generation.stop:
        assert play.text == whole
    untagged = "".join(part.text for part in play.emitted if not part.is_tag)
    assert untagged == play.reasoning + play.answer
    for stop in generation.stop:
        assert stop not in play.answer
