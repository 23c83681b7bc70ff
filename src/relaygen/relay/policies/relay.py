"""RelayGen's policy: a cue hands a sentence to the small model, its end hands back."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.errors import ProtocolError
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.hints import SENTENCE_END_HINTS, cue_hints
from relaygen.relay.policy import Decision, Step, Write
from relaygen.types import LegEnd, ModelRole, TokenScore

_LARGE = ModelRole.LARGE  # in Python 3.11 naming a member of an enumeration costs 0.1 us


class RelayPolicy:
    """Hands over at cues (rules 3, 4), back at sentence ends (rule 5), and does not loop (rule 6).

    Source: Song, Kim, Kim, "RelayGen", arXiv 2602.06454, section 4; the rules against loops are
    ours, for the paper's mutes the first tokens of every large leg, in which half of its handoffs
    would fall.
    """

    want_scores = False

    def __init__(self, cues: Sequence[SwitchCue], config: RelayConfig) -> None:
        self.cues: Sequence[SwitchCue] = cues
        self._config = config
        hints = config.stop_hints
        self._large_hints: tuple[str, ...] = cue_hints(tuple(cues)) if hints else ()
        self._small_hints: tuple[str, ...] = SENTENCE_END_HINTS if hints else ()
        self._run = 0  # small segments since the last whole large sentence
        self._muted = False
        self._whole = True  # the large model's current sentence is its own from the start

    @property
    def name(self) -> str:
        """``relay``."""
        return "relay"

    def begin(self) -> Write:
        """The large model begins."""
        return Write(ModelRole.LARGE, "", stop_hints=self._large_hints)

    def token(self, step: Step) -> Decision:
        """A handoff after a cue of the large model, a handback after a sentence of the small one."""
        if step.role is _LARGE:
            if step.ends:
                self._count_large_sentences(step)
            cue = step.cue
            if cue is None or self._muted or step.segment_tokens <= self._config.mute_tokens:
                return None
            if cue.end <= step.segment_start:
                return None  # all of it is the small model's, which went on after it
            return self._handoff(f"cue:{cue.cue.text}", drop=step.tokens if cue.confirmed else 0)
        for end in step.ends:
            if end > step.segment_start:
                look_ahead = step.was_pending and end <= step.start
                drop = step.tokens if look_ahead else 0
                return self._handback("sentence_end", step.segment_tokens, drop=drop)
        if step.segment_tokens >= self._config.max_small_tokens:
            return self._handback("max_small_tokens", step.segment_tokens)
        return None

    def judged(self, scores: Sequence[TokenScore]) -> Write:
        """Never asked."""
        raise ProtocolError("policy relay asked for no scores")

    def leg_ended(self, role: ModelRole, reason: LegEnd, segment_tokens: int) -> Write | None:
        """Rule 8: an end inside a small segment is a handback."""
        if role is ModelRole.SMALL:
            return self._handback(str(reason), segment_tokens)
        return None

    def may_end_reasoning(self, role: ModelRole) -> bool:
        """Rule 7."""
        return role is ModelRole.LARGE or self._config.small_may_end_reasoning

    def answer_role(self, reasoning_tokens: int) -> ModelRole:
        """Rule 7: the small model answers if there is reasoning to answer from."""
        if reasoning_tokens >= self._config.min_reasoning_tokens:
            return ModelRole.SMALL
        return ModelRole.LARGE

    def _handoff(self, reason: str, drop: int = 0) -> Write:
        self._run += 1
        return Write(
            ModelRole.SMALL,
            reason,
            drop=drop,
            max_tokens=self._config.max_small_tokens + 1,
            stop_hints=self._small_hints,
        )

    def _handback(self, reason: str, tokens: int, drop: int = 0) -> Write:
        config = self._config
        self._muted = tokens - drop < config.min_small_tokens or self._run >= config.max_small_run
        self._whole = reason == "sentence_end"
        hints = () if self._muted else self._large_hints
        return Write(ModelRole.LARGE, reason, drop=drop, stop_hints=hints)

    def _count_large_sentences(self, step: Step) -> None:
        for end in step.ends:
            if end <= step.segment_start:
                self._whole = True  # the small model's sentence, whose end is certain only now
                continue
            if self._whole:
                self._run = 0
                self._muted = False
            self._whole = True
