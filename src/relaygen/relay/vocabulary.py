"""What the pure core needs to know of a tokenizer, and how it turns bytes into text."""

from __future__ import annotations

import codecs
from typing import Protocol


class Vocabulary(Protocol):
    """The part of a tokenizer that the relay machine uses. `relaygen.tokens` implements it."""

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that this token adds to the text (a piece of a code point, perhaps).

        Raises:
            TokenizerError: the id is not an entry of the vocabulary.
        """
        ...


State = tuple[bytes, int]


class Utf8Stream:
    """Bytes in, whole code points out. Invalid bytes become U+FFFD, as in ``bytes.decode``.

    For any chunking, the concatenation of all `push` results and `flush` equals
    ``b"".join(chunks).decode("utf-8", errors="replace")``.
    """

    __slots__ = ("_decoder",)

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, data: bytes) -> str:
        """Returns the text that these bytes complete; empty inside a code point."""
        return self._decoder.decode(data)

    def flush(self) -> str:
        """Returns what is left (U+FFFD for a cut-off code point) and resets."""
        text = self._decoder.decode(b"", True)
        self._decoder.reset()
        return text

    @property
    def pending(self) -> bool:
        """Whether the bytes so far end inside a code point."""
        return bool(self._decoder.getstate()[0])

    def save(self) -> State:
        """The state, to go back to with `restore`."""
        return self._decoder.getstate()

    def restore(self, state: State) -> None:
        """Forgets everything pushed since `save`."""
        self._decoder.setstate(state)
