"""What may come before the first word of a sentence or a line: quotes, ``**``, list markers."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_OPENERS: Final = frozenset("\"'“‘«([{*_>「『（【")
_BULLETS: Final = frozenset("-+*•–")
# A CJK sentence ends at once, so what closes it is read as the start of the next.
_AFTER_CJK_END: Final = frozenset("。！？”’」』）】")
_MAX_LIST_DIGITS: Final = 2


class Place(IntEnum):
    """What has been read of the opening."""

    PAST = 0
    """The first word has begun."""
    BLANK = 1
    """White space and opening quotes, brackets, ``**`` at most."""
    BULLET = 2
    HASHES = 3
    NUMBER = 4
    NUMBER_MARK = 5
    """A number and its "." or ")"."""


class Step(IntEnum):
    """What a character was to the opening."""

    OPENER = 0
    MARKER = 1
    """The white space that completes a list marker or the hashes of a heading."""
    WORD = 2
    """The opening is over: here, or (`Opening.numbered`) at the number read before."""


class Opening:
    """The automaton.

    Attributes:
        place: how far it is.
        number: offset of the first digit, once one was read.
        number_end: offset after "5." (and the ``**`` after it); -1 if that was not read. Alone on
            its line, such a number is a result and ends its sentence.
    """

    __slots__ = ("number", "number_end", "place")

    def __init__(self) -> None:
        self.place = Place.BLANK
        self.number = 0
        self.number_end = -1

    def copy(self) -> Opening:
        """Returns an independent automaton in the same state."""
        twin = Opening.__new__(Opening)
        twin.place = self.place
        twin.number = self.number
        twin.number_end = self.number_end
        return twin

    @property
    def numbered(self) -> bool:
        """Whether a number was read that is no complete list marker."""
        return self.place >= Place.NUMBER

    @property
    def is_result(self) -> bool:
        """Whether the line so far is a number and a full stop."""
        return self.place is Place.NUMBER_MARK and self.number_end >= 0

    def restart(self) -> None:
        """A sentence or a line begins."""
        self.place = Place.BLANK

    def read(self, char: str, offset: int, new_sentence: bool) -> Step:
        """Reads a character (no line break) while `place` is not `Place.PAST`.

        Args:
            char: the character.
            offset: its place in the text.
            new_sentence: a sentence begins here, not only a line.
        """
        place = self.place
        if char.isspace():
            if place is Place.NUMBER:
                return Step.WORD
            self.place = Place.BLANK
            return Step.OPENER if place is Place.BLANK else Step.MARKER
        if place is Place.NUMBER:
            return self._number(char, offset)
        if place is Place.NUMBER_MARK:
            if char not in "*_":
                return Step.WORD
            if self.number_end >= 0:
                self.number_end = offset + 1
        elif char in _BULLETS:
            bold = char == "*" and place is Place.BULLET
            self.place = Place.BLANK if bold else Place.BULLET
        elif char == "#":
            self.place = Place.HASHES
        elif "0" <= char <= "9":
            self.place = Place.NUMBER
            self.number = offset
        elif char in _OPENERS or (new_sentence and char in _AFTER_CJK_END):
            self.place = Place.BLANK
        else:
            return Step.WORD
        return Step.OPENER

    def _number(self, char: str, offset: int) -> Step:
        if "0" <= char <= "9":
            return Step.OPENER if offset - self.number < _MAX_LIST_DIGITS else Step.WORD
        if char not in ".)":
            return Step.WORD
        self.number_end = offset + 1 if char == "." else -1
        self.place = Place.NUMBER_MARK
        return Step.OPENER
