"""Small scenes for the tests of the machine: two models with one script, told in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from relaygen.engines.simulated import ByteVocabulary
from relaygen.relay.config import RelayConfig
from relaygen.relay.cues import SwitchCue
from relaygen.relay.generation import Generation, ReasoningTags, WriterFacts
from relaygen.relay.machine import RelayMachine
from relaygen.relay.policies import RelayPolicy
from relaygen.relay.policy import Policy
from relaygen.types import ModelRole, Sampling, Stage
from tests.relay.driving import LARGE, SMALL, Play, Writer, check_laws, drive

Piece = str | bytes
EOS = "<|im_end|>"
END = "</think>"
SHORT = RelayConfig(min_reasoning_tokens=0, min_small_tokens=0)
"""For scenes of a few words: no length is asked of the reasoning, or of a small segment."""


@dataclass
class Scene:
    """Attributes:
    script: the tokens of both models, by their position in the generation; then end-of-sequence.
    large: by position, what the large model writes instead.
    small: likewise.
    tags: "token": ``</think>`` is one token; "text": several; None: no reasoning.
    """

    script: Sequence[Piece]
    large: Mapping[int, Piece] = field(default_factory=dict)
    small: Mapping[int, Piece] = field(default_factory=dict)
    cues: Sequence[str | SwitchCue] = ("So,", "Now")
    config: RelayConfig = RelayConfig()
    policy: Callable[[Sequence[SwitchCue], RelayConfig], Policy] = RelayPolicy
    tags: str | None = "token"
    first_stage: Stage | None = Stage.REASONING
    max_tokens: int = 1000
    stop: tuple[str, ...] = ()
    seed: int | None = None
    choice_index: int = 0
    sampling: Sampling = Sampling()
    unshared: Sequence[Piece] = ()
    want_scores: bool = False
    roles: tuple[ModelRole, ...] = (LARGE, SMALL)
    prompt: str = "Q"

    def __post_init__(self) -> None:
        pieces = [*self.script, *self.large.values(), *self.small.values(), *self.unshared]
        specials = ("<think>", END, EOS) if self.tags == "token" else (EOS,)
        words = [p.encode() if isinstance(p, str) else p for p in pieces]
        known = {text.encode() for text in specials}
        self.vocabulary = ByteVocabulary(
            [w for w in words if len(w) > 1 and w not in known], specials=specials
        )

    def token(self, piece: Piece) -> int:
        data = piece.encode() if isinstance(piece, str) else piece
        size = len(self.vocabulary)
        return next(i for i in reversed(range(size)) if self.vocabulary.token_bytes(i) == data)

    def ids(self, *pieces: Piece) -> list[int]:
        return [self.token(piece) for piece in pieces]

    def writer(self, own: Mapping[int, Piece]) -> Writer:
        origin = len(self.prompt.encode())

        def write(prefix: Sequence[int]) -> int:
            place = len(prefix) - origin
            if place in own:
                return self.token(own[place])
            return self.token(self.script[place] if place < len(self.script) else EOS)

        return write

    def machine(self) -> RelayMachine:
        tags = None
        if self.tags is not None:
            close = self.token(END) if self.tags == "token" else None
            forced = (close,) if close is not None else tuple(self.vocabulary.encode(END))
            tags = ReasoningTags(close_id=close, forced_close_ids=forced)
        facts = WriterFacts(eos_ids=frozenset({self.vocabulary.eos_id}), sampling=self.sampling)
        unshared = set(self.ids(*self.unshared))
        generation = Generation(
            prompt=tuple(self.prompt.encode()),
            max_tokens=self.max_tokens,
            writers=dict.fromkeys(self.roles, facts),
            tags=tags,
            first_stage=self.first_stage,
            stop=self.stop,
            seed=self.seed,
            choice_index=self.choice_index,
            want_scores=self.want_scores,
            shared_ids=set(range(len(self.vocabulary))) - unshared if unshared else None,
        )
        cues = [c if isinstance(c, SwitchCue) else SwitchCue(text=c) for c in self.cues]
        policy = self.policy(cues, self.config)
        return RelayMachine(generation, self.vocabulary, policy, self.config)

    def play(self, **options: object) -> Play:
        writers = {LARGE: self.writer(self.large), SMALL: self.writer(self.small)}
        play = drive(self.machine(), writers, **options)  # type: ignore[arg-type]
        check_laws(play, self.vocabulary.decode)
        return play


def play(script: Sequence[Piece], **options: object) -> Play:
    """Plays a scene one token at a time."""
    return Scene(script, **options).play()  # type: ignore[arg-type]
