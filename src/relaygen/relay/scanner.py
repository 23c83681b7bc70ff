"""Sentence ends and switch cues of one generation, a token at a time.

Cue occurrences and sentence ends are functions of the text alone. Which token a cue counts at is
decided at token boundaries: the first one at or after the cue's last character.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from relaygen.relay.cue_index import CueIndex, CueNode, index_cues
from relaygen.relay.cues import CueMatch, SwitchCue
from relaygen.relay.segmentation import SentenceSegmenter
from relaygen.relay.words import goes_on


class Scan(NamedTuple):
    """What one token showed.

    Attributes:
        ends: offsets of the sentence ends that became certain, ascending.
        cue: the cue that counts at the end of this token, if any.
    """

    ends: tuple[int, ...] = ()
    cue: CueMatch | None = None


NOTHING: Final = Scan()


Reached = tuple[int, int, CueNode]
"""(start, end, node of the cues that end there)"""


class Occurrence(NamedTuple):
    """A cue whose last character was read."""

    start: int
    end: int
    cue: SwitchCue


class TextScanner:
    """Segmenter and cue matcher in one, for the text of one generation, handbacks included.

    Attributes:
        pending: the text ends with what ends a sentence if white space or the end follows.
    """

    __slots__ = ("_index", "_partial", "_segmenter", "_waiting", "pending")

    def __init__(self, cues: Sequence[SwitchCue] = ()) -> None:
        self._index: CueIndex = index_cues(tuple(cues))
        self._segmenter = SentenceSegmenter()
        self._partial: list[tuple[int, CueNode]] = []  # (start, what was read of a cue)
        self._waiting: Occurrence | None = None
        self.pending = False

    @property
    def offset(self) -> int:
        """Characters fed so far."""
        return self._segmenter.offset

    @property
    def protected(self) -> bool:
        """Whether the text ends inside math or code."""
        return self._segmenter.protected

    @property
    def waiting(self) -> bool:
        """Whether a cue waits for the next token to confirm it: the time to take a `copy`."""
        return self._waiting is not None

    def copy(self) -> TextScanner:
        """Returns an independent scanner in the same state; takes a microsecond."""
        twin = TextScanner.__new__(TextScanner)
        twin._index = self._index
        twin._segmenter = self._segmenter.copy()
        twin._partial = self._partial.copy()
        twin._waiting = self._waiting
        twin.pending = self.pending
        return twin

    def dismiss(self) -> None:
        """Forgets the cue that waits, and what might extend it.

        For a copy that is gone back to after its cue counted on a token that was dropped:
        the cue must not count again on the token that takes its place.
        """
        if self._waiting is not None:
            self._keep_from(self._waiting.end)

    def begin_stage(self) -> None:
        """A reasoning tag was read: open math and code lapse, and a sentence begins."""
        self._segmenter.begin_stage()
        self.pending = False
        self._keep_from(self.offset)

    def finish(self) -> tuple[int, ...]:
        """Says that the text ends here. Returns the sentence end that this makes certain."""
        self.pending = False
        return self._segmenter.finish()

    def feed(self, text: str) -> Scan:
        """Reads the text of one token ("" if it completes no code point)."""
        segmenter = self._segmenter
        if not self._partial and self._waiting is None:
            probe = self._index.probes[segmenter.rest]
            if probe is not None and probe(text) is None:
                segmenter.skip(text)
                return NOTHING
        base = segmenter.offset
        ends = segmenter.read(text)
        self.pending = segmenter.pending
        if not self._partial and self._waiting is None and not segmenter.words:
            return Scan(ends) if ends else NOTHING
        reached = self._advance(text, base) if text else []
        match = self._decide(reached, text, base, ends)
        return Scan(ends, match) if ends or match else NOTHING

    def _advance(self, text: str, base: int) -> list[Reached]:
        """Follows the tries through `text`; returns where cues end in it."""
        index = self._index
        begun = [(start, node, 0) for start, node in self._partial]
        begun += [
            (start, index.opening if opens else index.anywhere, start - base)
            for start, opens in self._segmenter.words
        ]
        self._partial = []
        reached: list[Reached] = []
        for start, root, at in begun:
            node = root
            for i in range(at, len(text)):
                child = node.children.get(text[i])
                if child is None:
                    break
                node = child
                if node.cues:
                    reached.append((start, base + i + 1, node))
            else:
                if node.children:
                    self._partial.append((start, node))
        return reached

    def _decide(
        self,
        reached: list[Reached],
        text: str,
        base: int,
        ends: tuple[int, ...],
    ) -> CueMatch | None:
        waiting, self._waiting = self._waiting, None
        found = list(self._standing(reached, text, base, ends))
        if (
            waiting is not None
            and not any(longer.start == waiting.start for longer in found)
            and follows(waiting.cue, text) is not False
        ):
            self._keep_from(waiting.end)
            return CueMatch(waiting.cue, waiting.start, waiting.end, True)
        if not found:
            return None
        first = min(found, key=lambda o: (o.start, -o.end))
        if first.cue.confirm_tokens and follows(first.cue, text[first.end - base :]) is None:
            self._waiting = first
            return None
        self._keep_from(first.end)
        return CueMatch(first.cue, first.start, first.end, False)

    def _standing(
        self,
        reached: list[Reached],
        text: str,
        base: int,
        ends: tuple[int, ...],
    ) -> Iterator[Occurrence]:
        """The cues that what is already read after them leaves standing."""
        over = self.offset if self.pending else (ends[-1] if ends else -1)
        for start, end, node in reached:
            if end < over:
                continue  # the sentence that it opened is over: nothing is left to hand over
            for cue in node.cues:
                if follows(cue, text[end - base :]) is not False:
                    yield Occurrence(start, end, cue)
                    break

    def _keep_from(self, offset: int) -> None:
        """Drops every cue that began before `offset`."""
        self._waiting = None
        self._partial = [entry for entry in self._partial if entry[0] >= offset]


def follows(cue: SwitchCue, following: str) -> bool | None:
    """Whether the cue stands before `following`; None if nothing follows yet."""
    if not following:
        return None
    if cue.needs_space:
        return following[0].isspace()
    return not goes_on(cue.visible[-1], following)
