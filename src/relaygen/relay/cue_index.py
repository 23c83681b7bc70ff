"""The cues of a profile, compiled for matching: a trie, and a quick test for "nothing here"."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from relaygen.errors import CueProfileError
from relaygen.relay.cues import CuePosition, SwitchCue
from relaygen.relay.segmentation import EVENTS, Rest

_ASCII_WORD: Final = "[A-Za-z0-9]"
# Characters of a cue that the quick test looks at: enough to tell nearly all other words apart,
# few enough for the pattern of a thousand long cues to compile at once.
_PROBE_DEPTH: Final = 6

Probe = Callable[[str], re.Match[str] | None]


class CueNode:
    """A node of the trie: what has been read is the beginning of some cue.

    Attributes:
        children: the nodes one character on.
        cues: those that end here, the one with the condition on white space first.
    """

    __slots__ = ("children", "cues")

    def __init__(self) -> None:
        self.children: dict[str, CueNode] = {}
        self.cues: tuple[SwitchCue, ...] = ()

    def add(self, cue: SwitchCue) -> None:
        """Enters a cue below this node.

        Raises:
            CueProfileError: the same text is there already.
        """
        node = self
        for char in cue.visible:
            node = node.children.setdefault(char, CueNode())
        if any(other.needs_space == cue.needs_space for other in node.cues):
            raise CueProfileError(f"cue {cue.text!r} is listed twice; keep one of them")
        node.cues = tuple(sorted((*node.cues, cue), key=lambda c: not c.needs_space))


class CueIndex:
    """What a `TextScanner` needs to know of its cues; immutable and shared.

    Attributes:
        opening: the trie of the cues that may open a sentence: all of them.
        anywhere: the trie of those that count at any word.
        probes: by `Rest`: a search that finds nothing only where no token of a cue and no event
            of the segmenter can be; None where every text needs a look.
    """

    __slots__ = ("anywhere", "opening", "probes")

    def __init__(self, cues: Sequence[SwitchCue]) -> None:
        self.opening = CueNode()
        self.anywhere = CueNode()
        for cue in cues:
            self.opening.add(cue)
            if cue.position is CuePosition.ANYWHERE:
                self.anywhere.add(cue)
        self.probes: tuple[Probe | None, ...] = tuple(self._probe(rest) for rest in Rest)

    def _probe(self, rest: Rest) -> Probe | None:
        if rest is Rest.NONE:
            return None
        if rest is not Rest.PROSE:
            return re.compile(EVENTS[rest]).search
        # A word at the start of a token may go on from the token before; it gets a closer look.
        beginnings = [
            (f"(?<!{_ASCII_WORD})" if char.isascii() else "")
            + re.escape(char)
            + _rest_of(char, node)
            for char, node in self.anywhere.children.items()
        ]
        return re.compile("|".join([EVENTS[rest], *beginnings])).search


def _rest_of(last: str, node: CueNode, depth: int = 1) -> str:
    """A pattern for what may follow `last` in a text that holds a cue, or the beginning of one."""
    if depth == _PROBE_DEPTH:
        return ""
    branches = [r"\Z"]
    branches += [
        re.escape(char) + _rest_of(char, child, depth + 1) for char, child in node.children.items()
    ]
    if node.cues:
        in_word = last.isascii() and last.isalnum()
        branches.append(f"(?!{_ASCII_WORD})" if in_word else "")
    return f"(?:{'|'.join(branches)})"


@lru_cache(maxsize=64)
def index_cues(cues: tuple[SwitchCue, ...]) -> CueIndex:
    """The index of these cues; built once, since every generation of a server asks for it.

    Raises:
        CueProfileError: a cue is listed twice.
    """
    return CueIndex(cues)
