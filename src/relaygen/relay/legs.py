"""Legs: the engine calls of a generation. At most one at a time may add to it."""

from __future__ import annotations

from dataclasses import replace

from relaygen.errors import ProtocolError
from relaygen.relay.events import Action, Cancel, Event, Generate, Output, Prefill, Score
from relaygen.relay.generation import Generation
from relaygen.relay.seeds import leg_seed
from relaygen.relay.segment import Segment
from relaygen.relay.transcript import Transcript
from relaygen.types import ModelRole, Sampling

_MOST_EARLY_STOPS = 3  # of one segment: each is a request, which carries the whole prefix


class Legs:
    """Starts, repeats and cancels legs, as actions for the caller.

    Attributes:
        current: the leg that may add to the generation.
        eos_ids: what ends the output of the model that wrote last.
        actions: what the caller has not fetched yet.
        early_stops: legs that a stop hint ended before anything that counts had.
    """

    def __init__(
        self, generation: Generation, transcript: Transcript, *, want_scores: bool, read_ahead: int
    ) -> None:
        self.current: int | None = None
        self.eos_ids: frozenset[int] = frozenset()
        self.actions: list[Action] = []
        self.early_stops = 0
        self._generation = generation
        self._transcript = transcript
        self._want_scores = want_scores
        self._read_ahead = read_ahead
        self._segments: list[Segment] = []  # by leg: the one that it wrote to last
        self._begun = 0  # tokens of the generation when the leg began
        self._hints: tuple[str, ...] = ()
        self._ends: int | None = None  # tokens of the generation at which the leg is used up
        self._judge: ModelRole | None = None  # the leg is a scoring, by this model
        self._read_by_other = 0

    def take_actions(self) -> list[Action]:
        """Gives the actions away."""
        actions, self.actions = self.actions, []
        return actions

    @property
    def prefix(self) -> tuple[int, ...]:
        """Rule 1: the prompt of a leg is exactly what was kept."""
        return self._generation.prompt + tuple(self._transcript.tokens)

    @property
    def left(self) -> int | None:
        """Tokens that the newest leg may still write; None: as many as the generation may."""
        return None if self._ends is None else self._ends - len(self._transcript.tokens)

    # -- starting -----------------------------------------------------------------------------

    def write(self, max_tokens: int | None = None, stop_hints: tuple[str, ...] = ()) -> None:
        """Starts a leg for the current segment; `max_tokens` limits it further."""
        generation, segment = self._generation, self._transcript.segment
        writer = generation.writers[segment.role]
        prompt = self.prefix
        done = len(self._transcript.tokens)
        room = generation.max_tokens - done
        limit = room if max_tokens is None else min(room, max_tokens)
        leg_id = self._begin()
        if not segment.legs:
            self._read_by_other = done
        segment.legs.append(leg_id)
        self._judge = None
        self._begun = done
        self._hints = stop_hints
        self._ends = None if max_tokens is None else done + limit
        self.eos_ids = writer.eos_ids
        self.actions.append(
            Generate(
                leg_id=leg_id,
                role=segment.role,
                stage=segment.stage,
                prompt_tokens=prompt,
                generated_from=len(generation.prompt),
                max_tokens=limit,
                stop_hints=stop_hints,
                sampling=self._seeded(writer.sampling, len(prompt), segment.role),
                eos_ids=writer.eos_ids,
                want_scores=self._want_scores,
                top_logprobs=generation.top_logprobs,
            )
        )

    def score(self, role: ModelRole) -> None:
        """Starts the scoring of all that is undecided."""
        prompt = self.prefix
        leg_id = self._begin()
        self._judge = role
        self._ends = None
        self.actions.append(
            Score(
                leg_id=leg_id,
                role=role,
                prompt_tokens=prompt,
                from_token=len(prompt) - self._transcript.undecided,
            )
        )

    def repeat(self) -> None:
        """Starts the newest leg again, from what arrived of it."""
        if self._judge is not None:
            self.score(self._judge)
        else:
            self.write(self.left, self._hints)

    def go_on(self, *, hinted: bool) -> bool:
        """Starts the newest leg again, if a stop hint can have ended it; whether it did.

        Args:
            hinted: hints are still of use.
        """
        if not self._hints:
            return False
        self.early_stops += 1
        wrote = len(self._transcript.tokens) > self._begun
        few = len(self._transcript.segment.legs) < _MOST_EARLY_STOPS
        self.write(self.left, self._hints if hinted and wrote and few else ())
        return True

    def hint(self) -> None:
        """Has the other model read what is new, if that is enough to be worth a call."""
        done = len(self._transcript.tokens)
        if done - self._read_by_other < self._read_ahead:
            return
        self._read_by_other = done
        other = self._transcript.segment.role.other
        if other in self._generation.writers:
            self.actions.append(Prefill(role=other, prompt_tokens=self.prefix))

    def _begin(self) -> int:
        leg_id = self.current = len(self._segments)
        self._segments.append(self._transcript.segment)
        return leg_id

    def _seeded(self, sampling: Sampling, position: int, role: ModelRole) -> Sampling:
        generation = self._generation
        seed = None
        if generation.seed is not None:
            seed = leg_seed(generation.seed, generation.choice_index, position, role)
        return sampling if sampling.seed == seed else replace(sampling, seed=seed)

    # -- going on and ending ------------------------------------------------------------------

    def join_segment(self) -> None:
        """The leg goes on in the segment that has just been opened."""
        if self.current is not None:
            self._transcript.segment.legs.append(self.current)
            self._segments[self.current] = self._transcript.segment

    def ended(self) -> None:
        """The leg ended by itself, or broke off."""
        self.current = None

    def drop(self) -> None:
        """Cancels the leg, if there is one."""
        if self.current is not None:
            self.actions.append(Cancel(self.current))
            self.current = None

    def count_overrun(self, leg_id: int, tokens: int) -> None:
        """Tokens of a leg came after the decision that ended it."""
        self._segments[leg_id].overrun_tokens += tokens

    def take_late(self, event: Event) -> None:
        """An event of a leg that is over only adds to its overrun.

        Raises:
            ProtocolError: there was no such leg.
        """
        if not 0 <= event.leg_id < len(self._segments):
            raise ProtocolError(f"leg {event.leg_id} was never started: {event!r:.200}")
        if isinstance(event, Output):
            self.count_overrun(event.leg_id, len(event.token_ids))
