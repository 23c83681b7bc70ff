"""The scanner as the profiler uses it: every cue as if it were the only one."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.relay.cue_index import CueNode
from relaygen.relay.cues import CueMatch, SwitchCue
from relaygen.relay.scanner import Occurrence, Reached, TextScanner, follows


class EveryCueScanner(TextScanner):
    """Finds for each cue what a `TextScanner` with that cue alone would find, in one pass.

    In a relay "Thus, we" hides "Thus" where both are listed; who measures them wants both.

    Attributes:
        found: the matches of all tokens fed since it was emptied last; whoever reads it empties it.
    """

    __slots__ = ("_over", "_unconfirmed", "found")

    def __init__(self, cues: Sequence[SwitchCue] = ()) -> None:
        super().__init__(cues)
        self.found: list[CueMatch] = []
        self._unconfirmed: list[Occurrence] = []
        self._over: dict[str, int] = {}  # where each cue's last match ended

    def _decide(
        self, reached: list[Reached], text: str, base: int, ends: tuple[int, ...]
    ) -> CueMatch | None:
        for waiting in self._unconfirmed:
            if follows(waiting.cue, text) is not False:
                self._count(waiting, confirmed=True)
        self._unconfirmed = []
        over = self.offset if self.pending else (ends[-1] if ends else -1)
        for start, end, node in reached:
            if end >= over:
                self._look_at(node, start, end, text[end - base :])
        self._waiting = self._unconfirmed[0] if self._unconfirmed else None
        return None

    def _look_at(self, node: CueNode, start: int, end: int, following: str) -> None:
        for cue in node.cues:
            stands = follows(cue, following)
            if stands is False or start < self._over.get(cue.text, 0):
                continue
            occurrence = Occurrence(start, end, cue)
            if cue.confirm_tokens and stands is None:
                self._unconfirmed.append(occurrence)
            else:
                self._count(occurrence, confirmed=False)

    def _count(self, occurrence: Occurrence, *, confirmed: bool) -> None:
        start, end, cue = occurrence
        self._over[cue.text] = end
        self.found.append(CueMatch(cue, start, end, confirmed))
