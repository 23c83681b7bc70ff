"""Held text: what a later decision, or the rest of a tag, may still change."""

from __future__ import annotations

from msgspec.structs import replace

from relaygen.relay.events import Emitted
from relaygen.relay.pieces import joined
from relaygen.types import Stage


class Held:
    """The newest pieces of a transcript, one a token, before they are kept.

    Attributes:
        pieces: in order.
    """

    __slots__ = ("_tag", "pieces")

    def __init__(self, close_text: str | None) -> None:
        """`close_text`: the closing reasoning tag where it is matched as text."""
        self.pieces: list[Emitted] = []
        self._tag = close_text or ""

    @property
    def text(self) -> str:
        """All of it."""
        return "".join(piece.text for piece in self.pieces)

    def take(self) -> list[Emitted]:
        """Gives the pieces away."""
        pieces, self.pieces = self.pieces, []
        return pieces

    def drop(self, count: int) -> None:
        """Forgets the newest pieces."""
        del self.pieces[len(self.pieces) - count :]

    def complete(self, text: str) -> None:
        """Adds text to the newest piece."""
        last = self.pieces[-1]
        self.pieces[-1] = replace(last, text=last.text + text)

    def restage(self, stage: Stage) -> None:
        """All of it belongs to another stage."""
        self.pieces = [replace(piece, stage=stage) for piece in self.pieces]

    def holding(self, characters: int) -> int:
        """How many of the newest tokens hold the last `characters` of the text."""
        count = 0
        for piece in reversed(self.pieces):
            if characters <= 0 and piece.text:
                break
            characters -= len(piece.text)
            count += len(piece.token_ids)
        return count

    # -- reasoning tags of several tokens -----------------------------------------------------

    @property
    def begun_tag(self) -> int:
        """How many characters at the end may begin the closing tag."""
        text, tag = self.text, self._tag
        sizes = range(min(len(tag), len(text)), 0, -1)
        return next((size for size in sizes if text.endswith(tag[:size])), 0)

    @property
    def from_tag(self) -> int:
        """How many characters there are from the closing tag on; 0: it is not in the text."""
        text = self.text
        at = text.find(self._tag) if self._tag else -1
        return len(text) - at if at >= 0 else 0

    def retag(self, tag: str, rest_stage: Stage | None) -> None:
        """Marks `tag` as a reasoning tag, in a piece of its own.

        Args:
            tag: occurs in the text.
            rest_stage: the stage of the text after the tag; None leaves it.
        """
        pieces = self.pieces
        at = self.text.index(tag)
        count = 0
        while at >= len(pieces[count].text):
            at -= len(pieces[count].text)
            count += 1
        whole = joined(pieces[count:])
        last = pieces[-1]
        nothing = () if whole.scores is not None else None
        first = replace(pieces[count], text=whole.text[:at], token_ids=(), scores=nothing)
        middle = replace(
            last, text=tag, token_ids=whole.token_ids, is_tag=True, scores=whole.scores
        )
        after = replace(
            last,
            text=whole.text[at + len(tag) :],
            token_ids=(),
            stage=rest_stage or last.stage,
            scores=nothing,
        )
        pieces[count:] = [first, middle, after]
