"""Stop strings, as a server matches them: on the text of one leg."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class TokenBytes(Protocol):
    """What stop hints need of a vocabulary."""

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that this token adds to the text."""
        ...


class StopHints:
    """Finds strings in the bytes of one leg."""

    def __init__(self, vocabulary: TokenBytes | None, hints: Sequence[str]) -> None:
        self._vocabulary = vocabulary
        self._hints = [hint.encode() for hint in hints]
        self._longest = max(map(len, self._hints), default=0)
        self._tail = b""

    def matched_by(self, token_id: int) -> bool:
        """Whether a hint is complete with this token."""
        if self._vocabulary is None or not self._hints:
            return False
        text = self._tail + self._vocabulary.token_bytes(token_id)
        self._tail = text[-self._longest :]
        return any(hint in text for hint in self._hints)
