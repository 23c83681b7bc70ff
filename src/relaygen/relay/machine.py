"""The relay machine: one generation on two models, without I/O.

`RelayMachine.next_actions` says what to do, `RelayMachine.receive` takes what happened and returns
what may be shown. The machine never awaits, reads no clock and holds no sockets, so that tests can
drive it through any schedule. `states.TRANSITIONS` is the table of its states.

The parts, each of which knows only those before it: `transcript` (tokens and text), `legs` (engine
calls), `turns` (who has the word), `endings` (what an end means), `stages` (reasoning tags),
`steps` (what the policy sees and wants). Rule numbers in comments are those of
``docs/architecture.md``.

Source: the relay is that of Song, Kim, Kim, "RelayGen", arXiv 2602.06454; the sans-I/O form is
h11's.
"""

from __future__ import annotations

from relaygen.errors import ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.endings import Endings
from relaygen.relay.events import Action, Emitted, Event, LegEnded, LegFailed, Output, Scored
from relaygen.relay.generation import Generation
from relaygen.relay.legs import Legs
from relaygen.relay.policy import Policy
from relaygen.relay.scanner import TextScanner
from relaygen.relay.segment import Segment
from relaygen.relay.stages import Stages
from relaygen.relay.states import State
from relaygen.relay.steps import Steps
from relaygen.relay.transcript import Transcript
from relaygen.relay.turns import Turns
from relaygen.relay.vocabulary import Vocabulary
from relaygen.types import FinishReason, ModelRole, TokenScore, Usage

_JUDGING = State.JUDGING  # in Python 3.11 naming a member of an enumeration costs 0.05 us


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
        config = config or RelayConfig()
        self.generation = generation
        self.policy = policy
        self.config = config
        self._shared_ids = generation.shared_ids
        self._transcript = Transcript(generation, vocabulary, TextScanner(policy.cues))
        self._legs = Legs(
            generation,
            self._transcript,
            want_scores=generation.want_scores or policy.want_scores,
            read_ahead=config.read_ahead,
        )
        self._turns = Turns(generation, policy, config, self._transcript, self._legs)
        self._endings = Endings(
            generation, policy, config, self._transcript, self._legs, self._turns
        )
        self._stages = Stages(generation, policy, self._transcript, self._turns, self._endings)
        self._steps = Steps(policy, self._transcript, self._turns, self._stages)
        self._stages.begin(generation.first_stage)

    # -- what the caller sees -----------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the generation is in `states.TRANSITIONS`."""
        return self._turns.state

    @property
    def finish_reason(self) -> FinishReason | None:
        """Why the generation ended; None: it has not."""
        return self._turns.finish_reason

    @property
    def error(self) -> str | None:
        """For the reader, if the generation ended by one."""
        return self._turns.error

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
        return self._turns.small_lost

    @property
    def small_busy(self) -> bool:
        """Set by the caller: the large model writes on where it may, instead of handing over."""
        return self._turns.small_busy

    @small_busy.setter
    def small_busy(self, busy: bool) -> None:
        self._turns.small_busy = busy

    @property
    def handoffs_left_out(self) -> int:
        """How often the large model wrote on because the small one was busy."""
        return self._turns.handoffs_left_out

    @property
    def early_stops(self) -> int:
        """How often a stop hint ended a leg too early, so that it was asked to go on."""
        return self._legs.early_stops

    def next_actions(self) -> list[Action]:
        """What to do now, in order. Each action is returned once."""
        return self._legs.take_actions()

    def receive(self, event: Event) -> list[Emitted]:
        """Takes what happened; returns what may be shown to the reader now.

        Raises:
            ProtocolError: the event does not fit the state (a bug of the caller or a policy).
        """
        judging = self._turns.state is _JUDGING
        if event.leg_id != self._legs.current:
            self._legs.take_late(event)
        elif isinstance(event, Output) and not judging:
            self._take_output(event)
        elif isinstance(event, LegFailed):
            self._endings.failed(event)
        elif isinstance(event, Scored) is not judging:
            raise ProtocolError(f"a relay in state {self.state} cannot take {event!r:.200}")
        elif isinstance(event, LegEnded):
            self._endings.leg_ended(event.reason)
        elif isinstance(event, Scored):
            self._legs.ended()
            self._turns.turn(self.policy.judged(event.scores))
        return self._transcript.take_emitted()

    def cancel(self) -> list[Emitted]:
        """Ends the generation because its reader is gone; `Cancel` and `Finish` are next actions."""
        if self.finish_reason is None:
            self._turns.finish(FinishReason.CANCELLED, "cancelled")
        return self._transcript.take_emitted()

    # -- tokens -------------------------------------------------------------------------------

    def _take_output(self, event: Output) -> None:
        """Rule 4: one token at a time, however many arrive together."""
        ids, scores = event.token_ids, event.scores
        for index, token_id in enumerate(ids):
            self._take_token(token_id, scores[index] if scores is not None else None)
            if self._legs.current != event.leg_id:
                self._legs.count_overrun(event.leg_id, len(ids) - index - 1)
                return

    def _take_token(self, token_id: int, score: TokenScore | None) -> None:
        turns = self._turns
        if token_id in self._legs.eos_ids:
            self._endings.eos(token_id, score)
        elif self._shared_ids is not None and self._refused(token_id):
            pass
        elif turns.answering:
            self._transcript.push(token_id, score, scan=False)
            turns.keep()
        elif turns.opening:
            self._stages.open(token_id, score)
        elif token_id == self._stages.close_id:
            self._stages.close(token_id, score)
        else:
            self._steps.take(token_id, score)

    def _refused(self, token_id: int) -> bool:
        """Rule 1: an id that only one model knows is never sent to the other."""
        segment = self._transcript.segment
        shared = self._shared_ids
        if (
            shared is None
            or token_id in shared
            or segment.role.other not in self.generation.writers
        ):
            return False
        if segment.role is ModelRole.SMALL:
            segment.overrun_tokens += 1
            self._endings.refuse("unshared_token")
            return True
        self._turns.unshared = True
        return False
