"""From what is kept to what the reader sees: nothing that may begin a stop string (rule 10)."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from relaygen.relay.events import Emitted
from relaygen.relay.pieces import runs
from relaygen.relay.segment import Segment
from relaygen.relay.stops import StopMatcher
from relaygen.types import Stage

_ANSWER = Stage.ANSWER  # in Python 3.11 naming a member of an enumeration costs 0.05 us


class Emission:
    """The pieces of one generation on their way out, in order."""

    __slots__ = ("_out", "_segments", "_stops", "_waiting", "_waiting_from")

    def __init__(self, segments: Sequence[Segment], stop: Sequence[str]) -> None:
        """`segments`: of the transcript; each gets its own text as it goes out."""
        self._segments = segments
        self._stops = StopMatcher(stop) if stop else None
        self._waiting: list[Emitted] = []
        # Offset, in the text that stops apply to, of the first waiting piece.
        self._waiting_from = 0
        self._out: list[Emitted] = []

    def keep(self, pieces: list[Emitted]) -> bool:
        """Takes pieces that nothing can take back.

        Returns:
            Whether a stop string was completed: the generation is over, its text already cut.
        """
        if self._stops is None:
            self._emit(pieces)
            return False
        for index, piece in enumerate(pieces):
            if self._wait(piece, self._stops):
                self._emit([replace(rest, text="") for rest in pieces[index + 1 :]])
                return True
        return False

    def flush(self) -> None:
        """Emits what waited: no more text comes."""
        self._emit(self._waiting)
        self._waiting = []

    def take(self) -> list[Emitted]:
        """What may be shown and was not yet returned."""
        out, self._out = self._out, []
        return out

    def _wait(self, piece: Emitted, stops: StopMatcher) -> bool:
        """Queues a piece behind the stop matcher; True if a stop string was completed."""
        if piece.stage is not _ANSWER or piece.is_tag:
            self._emit([piece])
            return False
        self._waiting.append(piece)
        safe, cut = stops.feed(piece.text)
        ready = []
        while self._waiting:
            end = self._waiting_from + len(self._waiting[0].text)
            if cut is None and end > safe:
                break
            first = self._waiting.pop(0)
            if cut is not None:
                first = replace(first, text=first.text[: max(0, cut - self._waiting_from)])
            self._waiting_from = end
            ready.append(first)
        self._emit(ready)
        return cut is not None

    def _emit(self, pieces: list[Emitted]) -> None:
        for piece in pieces if len(pieces) == 1 else runs(pieces):
            if piece.text or piece.token_ids:
                self._segments[piece.segment].texts.append(piece.text)
                self._out.append(piece)
