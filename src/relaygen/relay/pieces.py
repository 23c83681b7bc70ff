"""Pieces of text with their tokens, joined where they are of one kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from relaygen.relay.events import Emitted
from relaygen.types import TokenScore


def joined(run: Sequence[Emitted]) -> Emitted:
    """One piece of all; role, stage and segment are those of the first."""
    if len(run) == 1:
        return run[0]
    scores: tuple[TokenScore | None, ...] | None = None
    if run[0].scores is not None:
        scores = tuple(score for piece in run for score in piece.scores or ())
    return replace(
        run[0],
        text="".join(piece.text for piece in run),
        token_ids=tuple(i for piece in run for i in piece.token_ids),
        scores=scores,
    )


def runs(pieces: Sequence[Emitted]) -> Iterator[Emitted]:
    """Neighbours of one segment and stage joined; a tag stands alone."""
    start = 0
    while start < len(pieces):
        first = pieces[start]
        end = start + 1
        while end < len(pieces) and _same_run(first, pieces[end]):
            end += 1
        yield joined(pieces[start:end])
        start = end


def _same_run(a: Emitted, b: Emitted) -> bool:
    return a.segment == b.segment and a.stage is b.stage and a.is_tag == b.is_tag
