"""A segment: what one model wrote at a stretch."""

from __future__ import annotations

from dataclasses import dataclass, field

from relaygen.types import ModelRole, Stage, TokenScore


@dataclass(kw_only=True, slots=True)
class Segment:
    """An unbroken run of tokens by one role in one stage.

    Attributes:
        role: who wrote it.
        stage: reasoning or answer.
        token_ids: kept tokens.
        scores: one a token where scores were asked for, else empty.
        legs: ids of the engine calls that wrote it.
        ended_by: why it ended ("cue:So,", "sentence_end", "reasoning_end", "eos", "length", ...).
        overrun_tokens: tokens an engine produced beyond a decision, or that were taken back.
        texts: what was emitted of it, in pieces.
    """

    role: ModelRole
    stage: Stage
    token_ids: list[int] = field(default_factory=list)
    scores: list[TokenScore | None] = field(default_factory=list)
    legs: list[int] = field(default_factory=list)
    ended_by: str = ""
    overrun_tokens: int = 0
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The emitted text, reasoning tags included."""
        return "".join(self.texts)
