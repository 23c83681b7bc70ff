"""Where in a generation its form begins: at once, or after the tag that ends the reasoning."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto


class Place(Enum):
    """How far a generation has come, as its tags tell."""

    OPENING = auto()
    """It may be about to open its reasoning, or not."""
    REASONING = auto()
    CLOSED = auto()
    """The token that completes the closing tag was the last one."""
    UNOPENED = auto()
    """It writes no reasoning: what came so far belongs to the answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FormStart:
    """The tags of a model, and which of them a generation has yet to write.

    Attributes:
        first: where the generation is when it begins; `Place.CLOSED`: the form holds at once.
        open_text: the opening tag.
        close_text: the closing tag.
        close_id: its token, where it is one; then its text does not count.
        token_bytes: what a token adds to the text.
    """

    first: Place
    open_text: str = ""
    close_text: str = ""
    close_id: int | None = None
    token_bytes: Callable[[int], bytes] = lambda _: b""

    def reading(self, generated: Iterable[int]) -> Reading:
        """A reader that has read what was generated so far."""
        reading = Reading(self)
        for token_id in generated:
            if reading.place is Place.CLOSED:
                break
            reading.take(token_id)
        return reading


class Reading:
    """Follows one generation, token by token.

    Attributes:
        place: where it is.
    """

    def __init__(self, start: FormStart) -> None:
        self.place = start.first
        self._start = start
        self._open = start.open_text.encode()
        self._close = start.close_text.encode()
        self._text = b""  # that may belong to the tag that is looked for

    def take(self, token_id: int) -> Place:
        """Reads a token; where it is then."""
        if self.place is Place.OPENING:
            self._look_for_opening(token_id)
        elif self.place is Place.REASONING:
            self._look_for_closing(token_id)
        return self.place

    def _look_for_opening(self, token_id: int) -> None:
        self._text += self._start.token_bytes(token_id)
        begun = self._text.lstrip()
        if begun.startswith(self._open):
            self.place, self._text = Place.REASONING, begun[len(self._open) :]
        elif not self._open.startswith(begun):
            self.place = Place.UNOPENED

    def _look_for_closing(self, token_id: int) -> None:
        if self._start.close_id is not None:
            closed = token_id == self._start.close_id
        else:
            self._text += self._start.token_bytes(token_id)
            closed = self._close in self._text
            self._text = self._text[-len(self._close) :]
        if closed:
            self.place = Place.CLOSED
