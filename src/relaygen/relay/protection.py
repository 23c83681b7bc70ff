"""Math and code: stretches of a text in which no sentence ends and no cue counts.

One small automaton, fed a character at a time, so that any chunking of a stream is read alike.
A decision once made is never taken back. ``$`` is the one delimiter for which this costs
something: whether ``$..$`` closes on its line is not known while it streams. A ``$`` therefore
counts as math from the start, until it closes or its line ends, unless what follows says that it
is an amount of money or no opener at all; a sentence end inside an opener that never closes is
lost, not given late.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

_NO_OPENER: Final = frozenset(".,;:!?)")
_OPERATORS: Final = frozenset("+-*/=<>^\\|·×÷−≤≥≠≈")
_MAGNITUDES: Final = frozenset("kKmMbB")
_CLOSING_BRACKETS: Final = {")": "(", "]": "["}


class State(IntEnum):
    """Where in which kind of stretch the text stands."""

    PROSE = 0
    BACKSLASH = 1
    DOLLAR = 2
    AMOUNT = 3
    AMOUNT_POINT = 4
    AMOUNT_SPACE = 5
    AMOUNT_SLASH = 6
    AMOUNT_MAGNITUDE = 7
    INLINE_MATH = 8
    DISPLAY_MATH = 9
    BRACKET_MATH = 10
    BACKTICKS = 11
    CODE = 12
    FENCE = 13


class Reading(IntEnum):
    """What a character was, to the stretch that was open before it."""

    INSIDE = 0
    CLOSES = 1
    """The last character of the closing delimiter."""
    OUTSIDE = 2
    """The stretch is over (closed before, or lapsed): the character is prose."""


class Protection:
    """The automaton. `state` is `State.PROSE` outside."""

    __slots__ = ("_bracket", "_escaped", "_run", "_ticks", "state")

    def __init__(self) -> None:
        self.state = State.PROSE
        self._escaped = False
        self._bracket = ""
        self._run = 0
        self._ticks = 0

    def copy(self) -> Protection:
        """Returns an independent automaton in the same state."""
        twin = Protection.__new__(Protection)
        twin.state = self.state
        twin._escaped = self._escaped
        twin._bracket = self._bracket
        twin._run = self._run
        twin._ticks = self._ticks
        return twin

    @property
    def steady(self) -> bool:
        """Whether only a delimiter or a line break can change the state."""
        return not self._escaped and not self._run and self.state in _STEADY

    def open(self, char: str) -> None:
        """Reads a backslash, a dollar or a backtick in prose."""
        self._escaped = False
        self._run = 0
        if char == "`":
            self.state = State.BACKTICKS
            self._run = 1
        else:
            self.state = State.DOLLAR if char == "$" else State.BACKSLASH

    def step(self, char: str, previous: str, blank: bool) -> Reading:
        """Reads the next character while a stretch is open.

        Args:
            char: the character.
            previous: the one before it.
            blank: the character is the line break that makes a line blank.
        """
        state = self.state
        if state >= State.BACKTICKS:
            reading = self._code(char, blank)
        elif state >= State.INLINE_MATH:
            reading = self._math(char, previous, blank)
        elif state == State.BACKSLASH:
            reading = self._backslash(char)
        elif state == State.DOLLAR:
            reading = self._dollar(char)
        else:
            reading = self._amount(char, previous)
        if reading:
            self.state = State.PROSE
            self._escaped = False
            self._run = 0
        return reading

    def _backslash(self, char: str) -> Reading:
        if char in "([":
            self._bracket = char
            return self._go(State.BRACKET_MATH)
        return Reading.CLOSES if char in "$\\`" else Reading.OUTSIDE

    def _dollar(self, char: str) -> Reading:
        if char == "$":
            return self._go(State.DISPLAY_MATH)
        if char.isspace() or char in _NO_OPENER:
            return Reading.OUTSIDE
        if char.isdigit():
            return self._go(State.AMOUNT)
        self._escaped = char == "\\"
        return self._go(State.INLINE_MATH)

    def _amount(self, char: str, previous: str) -> Reading:
        """After ``$`` and a digit: "$5$" and "$5 + x$" are math, "$5 and" is money."""
        state = self.state
        if char == "$":
            return self._go(State.DOLLAR) if previous.isspace() else Reading.CLOSES
        if state == State.AMOUNT_POINT:
            return self._go(State.AMOUNT) if char.isdigit() else Reading.OUTSIDE
        if state == State.AMOUNT_SPACE:
            if char not in _OPERATORS:
                return Reading.OUTSIDE
        elif char == "\n":
            return Reading.OUTSIDE
        elif state == State.AMOUNT:
            if char.isdigit() or char in ",-":
                return Reading.INSIDE
            if char == ".":
                return self._go(State.AMOUNT_POINT)
            if char == "/":
                return self._go(State.AMOUNT_SLASH)
            if char.isspace():
                return self._go(State.AMOUNT_SPACE)
            if char in _MAGNITUDES:
                return self._go(State.AMOUNT_MAGNITUDE)
            if char in _NO_OPENER or char in "\"'”’]}*":
                return Reading.OUTSIDE
        elif char.isspace() or (state == State.AMOUNT_MAGNITUDE and char in _NO_OPENER):
            return Reading.OUTSIDE
        elif state == State.AMOUNT_SLASH and char.isalpha():
            # "$5/x$" is math, "$5/hour" is not.
            return Reading.OUTSIDE if previous.isalpha() else Reading.INSIDE
        self._escaped = char == "\\"
        return self._go(State.INLINE_MATH)

    def _math(self, char: str, previous: str, blank: bool) -> Reading:
        if blank or (char == "\n" and self.state == State.INLINE_MATH):
            return Reading.OUTSIDE
        if self._escaped:
            self._escaped = False
            self._run = 0
            closes = self.state == State.BRACKET_MATH and (
                _CLOSING_BRACKETS.get(char) == self._bracket
            )
            return Reading.CLOSES if closes else Reading.INSIDE
        if char == "\\":
            self._escaped = True
        elif char == "$":
            if self.state == State.INLINE_MATH:
                # A closing "$" follows the formula directly; this one opens another.
                return self._go(State.DOLLAR) if previous.isspace() else Reading.CLOSES
            if self.state == State.DISPLAY_MATH:
                self._run += 1
                return Reading.CLOSES if self._run == 2 else Reading.INSIDE
        self._run = 0
        return Reading.INSIDE

    def _code(self, char: str, blank: bool) -> Reading:
        if char == "`":
            self._run += 1
            return Reading.INSIDE
        if self.state == State.BACKTICKS:
            self._ticks = self._run
            self.state = State.FENCE if self._run >= 3 else State.CODE
            self._run = 0
        run, self._run = self._run, 0
        if self.state == State.FENCE:
            return Reading.OUTSIDE if run >= 3 else Reading.INSIDE
        return Reading.OUTSIDE if blank or run == self._ticks else Reading.INSIDE

    def _go(self, state: State) -> Reading:
        self.state = state
        return Reading.INSIDE


_STEADY: Final = frozenset(
    {
        State.PROSE,
        State.INLINE_MATH,
        State.DISPLAY_MATH,
        State.BRACKET_MATH,
        State.CODE,
        State.FENCE,
    }
)
