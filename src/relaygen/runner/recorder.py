"""Times and text of a run, while it happens. The machine has no clock; this has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from relaygen.errors import ProtocolError
from relaygen.relay.events import Emitted
from relaygen.relay.machine import RelayMachine
from relaygen.relay.transcript import Segment
from relaygen.runner.trace import Result, SegmentTrace, Trace
from relaygen.types import FinishReason, Stage


class _Times:
    __slots__ = ("ended", "evaluated", "first", "replicas", "started")

    def __init__(self, started: float) -> None:
        self.started = started
        self.first: float | None = None
        self.ended: float | None = None
        self.evaluated: int | None = None
        self.replicas: tuple[str, ...] = ()


class Recorder:
    """Watches one machine. All times come from `clock`, in seconds."""

    def __init__(self, machine: RelayMachine, clock: Callable[[], float]) -> None:
        self._machine = machine
        self._clock = clock
        self.began = clock()
        self._times: list[_Times] = []
        self._ended = 0.0
        self._parts: dict[bool | Stage, list[str]] = {
            True: [],
            Stage.REASONING: [],
            Stage.ANSWER: [],
        }
        self.failovers = 0
        self.watch(())

    def watch(self, emitted: Sequence[Emitted]) -> None:
        """Notes what changed since the last call; call it after every event."""
        now = self._clock() - self.began
        segments = self._machine.segments
        times = self._times
        self._note_first(now)
        while len(times) < len(segments):
            if times:
                times[-1].ended = now
            times.append(_Times(now))
            self._note_first(now)
        self._ended = now
        for part in emitted:
            self._parts[True].append(part.text)
            if not part.is_tag:
                self._parts[part.stage].append(part.text)

    def _note_first(self, now: float) -> None:
        newest = len(self._times) - 1
        if newest < 0 or self._times[newest].first is not None:
            return
        if self._machine.segments[newest].token_ids:
            self._times[newest].first = now

    def note_evaluated(self, tokens: int) -> None:
        """The current segment's model read so many prompt tokens."""
        self._times[-1].evaluated = (self._times[-1].evaluated or 0) + tokens

    def note_replica(self, name: str) -> None:
        """A leg of the current segment is written by this one of several servers."""
        self._times[-1].replicas += (name,)

    def result(self) -> Result:
        """Raises `ProtocolError` before the generation is over."""
        machine = self._machine
        reason = machine.finish_reason
        if reason is None:
            raise ProtocolError("the generation is not over: read its stream to the end first")
        generation = machine.generation
        pairs = zip(machine.segments, self._times, strict=True)
        trace = Trace(
            policy=machine.policy.name,
            segments=tuple(self._segment(*pair) for pair in pairs),
            wall_s=self._ended,
            repeatable=(
                reason not in (FinishReason.ERROR, FinishReason.CANCELLED)
                and self.failovers == 0
                and not machine.small_lost
                and machine.handoffs_left_out == 0
                and (
                    generation.seed is not None
                    or all(w.sampling.temperature == 0 for w in generation.writers.values())
                )
            ),
            small_lost=machine.small_lost,
            failovers=self.failovers,
            handoffs_left_out=machine.handoffs_left_out,
            early_stops=machine.early_stops,
        )
        return Result(
            text="".join(self._parts[True]),
            reasoning="".join(self._parts[Stage.REASONING]),
            answer="".join(self._parts[Stage.ANSWER]),
            finish_reason=reason,
            usage=machine.usage,
            trace=trace,
            error=machine.error,
        )

    def _segment(self, segment: Segment, times: _Times) -> SegmentTrace:
        margins = None
        if self._machine.generation.want_scores:
            margins = tuple(None if s is None else s.margin for s in segment.scores)
        return SegmentTrace(
            role=segment.role,
            stage=segment.stage,
            token_ids=tuple(segment.token_ids),
            text=segment.text,
            margins=margins,
            started_s=times.started,
            first_token_s=times.first,
            ended_s=self._ended if times.ended is None else times.ended,
            ended_by=segment.ended_by,
            overrun_tokens=segment.overrun_tokens,
            prompt_evaluated=times.evaluated,
            replicas=times.replicas,
        )
