"""What the pure core needs to know of a tokenizer, and how it turns bytes into text."""

from __future__ import annotations

import codecs
from collections.abc import Callable
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


class Detokeniser:
    """Tokens in, the text that each of them completes out.

    Attributes:
        inside: the text so far ends inside a code point.
    """

    __slots__ = ("_stream", "_token_bytes", "_whole", "inside")

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.inside = False
        self._token_bytes: Callable[[int], bytes] = vocabulary.token_bytes
        self._stream = Utf8Stream()
        self._whole: dict[int, str] = {}  # the text of tokens that are no piece of a code point

    def push(self, token_id: int) -> str:
        """Returns the text that this token completes."""
        if self.inside or (text := self._whole.get(token_id, "")) == "":
            return self._decode(token_id)
        return text

    def _decode(self, token_id: int) -> str:
        starts_whole = not self.inside
        text = self._stream.push(self._token_bytes(token_id))
        self.inside = self._stream.pending
        if starts_whole and not self.inside:
            self._whole[token_id] = text
        return text

    def alone(self, token_id: int) -> str:
        """The text of a token by itself, whatever came before it."""
        return self._token_bytes(token_id).decode("utf-8", errors="replace")

    def flush(self) -> str:
        """Returns what is left of a cut-off code point."""
        self.inside = False
        return self._stream.flush()

    def save(self) -> State:
        """The state, to go back to with `restore`."""
        return self._stream.save()

    def restore(self, state: State) -> None:
        """Forgets everything pushed since `save`."""
        self._stream.restore(state)
        self.inside = self._stream.pending
