"""Where sentences end, on a stream.

An automaton reads one character at a time and never goes back, so the ends are a function of the
text alone, however it is cut. Text in which nothing can happen is skipped by one regular
expression. What is math and code is told by `relaygen.relay.protection`, what precedes a first
word by `relaygen.relay.opening`, what is an abbreviation by `relaygen.relay.abbreviations`.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Final

from relaygen.relay.abbreviations import LOOKBACK, is_abbreviation, is_factorial
from relaygen.relay.opening import Opening, Place, Step
from relaygen.relay.protection import Protection, Reading, State
from relaygen.relay.words import begins_word

_CLOSERS: Final = frozenset("\"'”’»)]}*_")
_CJK_ENDS: Final = frozenset("。！？")


class Rest(IntEnum):
    """What kind of text may be skipped without a look at its characters."""

    NONE = 0
    PROSE = 1
    MATH = 2
    CODE = 3


EVENTS: Final = {
    Rest.PROSE: r"[.!?。！？\n\\$`]",
    Rest.MATH: r"[\\$\n]",
    Rest.CODE: r"[`\n]",
}
"""By kind of text at rest: a pattern of all that can change the state."""

_SEARCH: Final = {rest: re.compile(pattern).search for rest, pattern in EVENTS.items()}

# In Python 3.11 naming a member of an enumeration costs 0.05 us.
_REST_NONE, _REST_PROSE, _REST_MATH, _REST_CODE = Rest
_IN_PROSE: Final = State.PROSE
_IN_CODE: Final = State.CODE
_AMOUNT_POINT: Final = State.AMOUNT_POINT


class SentenceSegmenter:
    """Finds sentence ends in text that comes in pieces.

    Attributes:
        offset: characters fed so far.
        words: of the text that `read` read last, the (offset, opens a sentence) of each word
            outside math and code.
        rest: what kind of text may be fed to `skip`.
    """

    __slots__ = (
        "_candidate",
        "_ends",
        "_first",
        "_line",
        "_newline",
        "_opening",
        "_protection",
        "_start",
        "_tail",
        "offset",
        "rest",
        "words",
    )

    def __init__(self) -> None:
        self.offset = 0
        self.rest = Rest.NONE
        self.words: list[tuple[int, bool]] = []
        self._ends: list[int] = []
        self._protection = Protection()
        self._opening = Opening()
        self._tail = ""
        self._start = True  # no word of the current sentence has been read
        self._first = 0  # offset of the sentence's first word
        self._line = 0  # offset of the current line
        self._newline = False  # only white space since the last line break
        self._candidate = -1  # an end, if white space follows

    @property
    def pending(self) -> bool:
        """Whether the text ends with what ends a sentence if white space or the end follows."""
        return self._candidate >= 0 or self._protection.state == _AMOUNT_POINT

    @property
    def protected(self) -> bool:
        """Whether the text ends inside math or code."""
        return self._protection.state != State.PROSE

    def copy(self) -> SentenceSegmenter:
        """Returns an independent segmenter in the same state."""
        twin = SentenceSegmenter.__new__(SentenceSegmenter)
        twin.offset = self.offset
        twin.rest = self.rest
        twin.words = self.words.copy()
        twin._ends = []
        twin._protection = self._protection.copy()
        twin._opening = self._opening.copy()
        twin._tail = self._tail
        twin._start = self._start
        twin._first = self._first
        twin._line = self._line
        twin._newline = self._newline
        twin._candidate = self._candidate
        return twin

    def feed(self, text: str) -> tuple[int, ...]:
        """Reads on. Returns the sentence ends that became certain, ascending.

        An end lies after the closing quotes and before the white space that made it certain;
        after the second line break of a blank line; after the line break before a list marker.
        """
        search = _SEARCH.get(self.rest)
        if search is not None and search(text) is None:
            self.skip(text)
            return ()
        return self.read(text)

    def skip(self, text: str) -> None:
        """Reads on over text that holds none of the events of `rest`."""
        self.offset += len(text)
        self._tail = (self._tail + text)[-LOOKBACK:]

    def read(self, text: str) -> tuple[int, ...]:
        """Does what `feed` does, and fills `words`."""
        self.words = []
        self._ends = []
        context = self._tail + text
        protection = self._protection
        for index in range(len(self._tail), len(context)):
            char = context[index]
            if protection.state:
                self._protected(char, context, index)
            else:
                self._prose(char, context, index)
            if char == "\n":
                self._newline = True
            elif not char.isspace():
                self._newline = False
            self.offset += 1
        self._tail = context[-LOOKBACK:]
        self.rest = self._resting()
        return tuple(self._ends)

    def finish(self) -> tuple[int, ...]:
        """Says that the text ends here. Returns the end that this makes certain, if any."""
        self._ends = []
        if self.pending:
            self._end(self._candidate if self._candidate >= 0 else self.offset)
        elif self._opening.is_result:
            self._end(self._opening.number_end)
        return tuple(self._ends)

    def begin_stage(self) -> None:
        """A reasoning tag was read: open math and code lapse, and a sentence begins."""
        self._protection = Protection()
        self._newline = False
        self._tail = ""
        self._begin_sentence()
        self.rest = Rest.NONE

    def _resting(self) -> Rest:
        if self._newline or not self._protection.steady:
            return _REST_NONE
        state = self._protection.state
        if state == _IN_PROSE:
            at_rest = not self._opening.place and self._candidate < 0
            return _REST_PROSE if at_rest else _REST_NONE
        return _REST_CODE if state >= _IN_CODE else _REST_MATH

    def _protected(self, char: str, context: str, index: int) -> None:
        protection = self._protection
        after_point = protection.state == _AMOUNT_POINT
        blank = self._newline and char == "\n"
        if protection.step(char, context[index - 1], blank) is Reading.OUTSIDE:
            if after_point:
                self._candidate = self.offset
            self._prose(char, context, index)

    def _prose(self, char: str, context: str, index: int) -> None:
        if self._candidate >= 0 and self._after_candidate(char, context[index - 1]):
            return
        if char == "\n":
            self._line_break()
            return
        opens = False
        if self._opening.place:
            step = self._opening.read(char, self.offset, self._start)
            if step is not Step.WORD:
                if step is Step.MARKER:
                    self._marker()
                return
            opens = self._start and not self._opening.numbered
            self._begin_words()
        if char in "\\$`":
            self._protection.open(char)
        elif char in ".!?":
            if not self._vetoed(char, context[max(0, index - LOOKBACK) : index]):
                self._candidate = self.offset + 1
        elif char in _CJK_ENDS:
            self._end(self.offset + 1)
        else:
            previous = context[index - 1] if index else ""
            if begins_word(char, previous, context[index - 2] if index > 1 else ""):
                self.words.append((self.offset, opens))

    def _after_candidate(self, char: str, previous: str) -> bool:
        """Reads the character after ``.!?``; returns whether that is all it means."""
        if char in _CLOSERS or char in "!?":
            self._candidate = self.offset + 1
            return True
        if char.isspace():
            self._end(self._candidate)
            return False
        self._candidate = -1
        return char == "." and previous == "."

    def _vetoed(self, char: str, before: str) -> bool:
        if char == ".":
            return is_abbreviation(before, self.offset - self._first == 1)
        # The second mark of a double factorial follows one that was no candidate.
        return char == "!" and (is_factorial(before) or before[-1:] == "!")

    def _line_break(self) -> None:
        if self._newline and not self._start:
            self._end(self.offset + 1)
        elif self._opening.is_result:
            self._end(self._opening.number_end)
        elif self._opening.numbered:
            self._begin_words()
        self._opening.restart()
        self._line = self.offset + 1

    def _marker(self) -> None:
        if self._start:
            self._begin_sentence()
        else:
            self._end(self._line)

    def _begin_words(self) -> None:
        if self._start:
            self._first = self._opening.number if self._opening.numbered else self.offset
            self._start = False
        self._opening.place = Place.PAST

    def _end(self, position: int) -> None:
        self._ends.append(position)
        self._begin_sentence()

    def _begin_sentence(self) -> None:
        self._start = True
        self._opening.restart()
        self._candidate = -1


def sentences(text: str) -> list[tuple[int, int]]:
    """The (start, end) of each sentence of a whole text; start is its first visible character."""
    segmenter = SentenceSegmenter()
    ends = [*segmenter.feed(text), *segmenter.finish(), len(text)]
    spans = []
    begin = 0
    for end in ends:
        visible = text[begin:end].lstrip()
        if visible:
            spans.append((end - len(visible), end))
        begin = end
    return spans
