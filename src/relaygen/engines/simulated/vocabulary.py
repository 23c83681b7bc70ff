"""A vocabulary that needs no file: every byte, some words, some special tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from relaygen.errors import TokenizerError

THINK = "<think>"
END_THINK = "</think>"
END_OF_TURN = "<|im_end|>"


class ByteVocabulary:
    """A `relay.vocabulary.Vocabulary` for tests and load.

    Ids 0 to 255 are the bytes, then come the words, then the special tokens. A character outside
    ASCII that is not a word is written as two to four tokens, each a piece of its code point.
    """

    def __init__(
        self,
        words: Iterable[str | bytes] = (),
        *,
        specials: Sequence[str] = (THINK, END_THINK, END_OF_TURN),
    ) -> None:
        """`words`: entries of two or more bytes; bytes may end inside a code point."""
        entries = [bytes([byte]) for byte in range(256)]
        entries += dict.fromkeys(w.encode() if isinstance(w, str) else w for w in words)
        self._plain = {entry: index for index, entry in enumerate(entries)}
        if len(self._plain) != len(entries):
            raise TokenizerError("a word of one byte is in the vocabulary already; leave it out")
        self._special = {text.encode(): len(entries) + i for i, text in enumerate(specials)}
        self._entries = entries + list(self._special)
        self._longest = max(map(len, self._plain))

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of the special tokens."""
        return frozenset(self._special.values())

    @property
    def eos_id(self) -> int:
        """The id of ``<|im_end|>``, where it is among the special tokens."""
        return self.token_id(END_OF_TURN)

    def token_id(self, text: str) -> int:
        """Returns the id of the special token or, failing that, the word with this text.

        Raises:
            TokenizerError: there is none.
        """
        data = text.encode()
        found = self._special.get(data, self._plain.get(data))
        if found is None:
            raise TokenizerError(f"{text!r} is no entry of this vocabulary")
        return found

    def token_bytes(self, token_id: int) -> bytes:
        """See `Vocabulary.token_bytes`."""
        if not 0 <= token_id < len(self._entries):
            raise TokenizerError(
                f"token id {token_id} is outside the vocabulary of {len(self._entries)}"
            )
        return self._entries[token_id]

    def encode(self, text: str, *, allow_special: bool = True) -> list[int]:
        """Returns the ids of `text`: at each place the longest entry that fits.

        Args:
            text: any text.
            allow_special: read ``<think>`` and the like as special tokens, not as plain text.
        """
        data = text.encode()
        ids: list[int] = []
        at = 0
        while at < len(data):
            entry, token_id = self._longest_at(data, at, allow_special)
            ids.append(token_id)
            at += len(entry)
        return ids

    def decode(self, token_ids: Iterable[int]) -> str:
        """Returns the text of all tokens, with U+FFFD for broken code points."""
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")

    def _longest_at(self, data: bytes, at: int, allow_special: bool) -> tuple[bytes, int]:
        if allow_special:
            for entry, token_id in self._special.items():
                if data.startswith(entry, at):
                    return entry, token_id
        for length in range(min(self._longest, len(data) - at), 1, -1):
            entry = data[at : at + length]
            if entry in self._plain:
                return entry, self._plain[entry]
        return data[at : at + 1], data[at]
