"""One tokenizer, from ``tokenizer.json`` or from a GGUF file, on the `tokenizers` library."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Self

import tokenizers
from tokenizers import AddedToken

from relaygen.errors import TokenizerError
from relaygen.tokens.from_gguf import parts_from_gguf
from relaygen.tokens.from_json import parts_from_json
from relaygen.tokens.gguf_reader import read_gguf
from relaygen.tokens.parts import AddedEntry, TokenizerParts
from relaygen.tokens.pieces import piece_bytes, spell


class Tokenizer:
    """Text to token ids and back. Implements `relaygen.relay.vocabulary.Vocabulary`.

    Two words are kept apart: an entry is *special* if it is a control token, and *markup* if it
    stands for structure, special or not (in Qwen3, ``<think>`` is markup and not special).
    """

    def __init__(self, parts: TokenizerParts) -> None:
        self._parts = parts
        self._backend = parts.backend
        self._bytes: dict[int, bytes] = {}

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads a ``.gguf`` file, a ``tokenizer.json``, or the folder of a model.

        Raises:
            ModelLoadError: a GGUF file cannot be read.
            TokenizerError: the tokenizer is missing or of an unsupported kind.
        """
        path = Path(path)
        return cls.from_gguf(path) if path.suffix.lower() == ".gguf" else cls.from_json(path)

    @classmethod
    def from_gguf(cls, path: str | Path) -> Self:
        """Reads the tokenizer inside a GGUF file.

        Raises:
            ModelLoadError: the file cannot be read.
            TokenizerError: its tokenizer is of an unsupported kind.
        """
        return cls(parts_from_gguf(read_gguf(path)))

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """Reads ``tokenizer.json`` and what lies beside it; `path` is that file or its folder.

        Raises:
            TokenizerError: it is missing, damaged, or of an unsupported kind.
        """
        return cls(parts_from_json(Path(path)))

    def __repr__(self) -> str:
        return f"Tokenizer({self.origin!r}, vocab_size={self.vocab_size})"

    @property
    def origin(self) -> str:
        """The file or model it came from, for messages."""
        return self._parts.origin

    @property
    def vocab_size(self) -> int:
        """One more than the largest id; some ids below it may be padding, not entries."""
        return self._parts.vocab_size

    @property
    def eos_ids(self) -> frozenset[int]:
        """Every id that ends a sequence."""
        return self._parts.eos_ids

    @property
    def bos_id(self) -> int | None:
        """The beginning-of-sequence token, if there is one."""
        return self._parts.bos_id

    @property
    def add_bos(self) -> bool:
        """Whether every prompt starts with `bos_id`."""
        return self._parts.add_bos

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the model's chat template, if there is one."""
        return self._parts.chat_template

    @property
    def special_tokens(self) -> Mapping[str, str]:
        """Name (``bos_token``) to text, as chat templates expect them."""
        return self._parts.special_tokens

    @cached_property
    def entry_ids(self) -> frozenset[int]:
        """Every id that is neither padding nor unused."""
        return frozenset(self._parts.pieces)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The control tokens."""
        return frozenset(i for i, entry in self._parts.added.items() if entry.special)

    @cached_property
    def markup(self) -> Mapping[str, int]:
        """Text to id of every entry that stands for structure; a superset of `special_ids`."""
        return {entry.text: i for i, entry in self._parts.added.items() if entry.markup}

    @cached_property
    def markup_ids(self) -> frozenset[int]:
        """The ids in `markup`."""
        return frozenset(self.markup.values())

    def added_entry(self, token_id: int) -> AddedEntry | None:
        """The added entry with this id; None for an ordinary piece."""
        return self._parts.added.get(token_id)

    def is_special(self, token_id: int) -> bool:
        """Whether this id is a control token."""
        entry = self._parts.added.get(token_id)
        return entry is not None and entry.special

    def token_id(self, text: str) -> int | None:
        """The id of the entry written like this in the vocabulary (``<think>``), or None."""
        token_id = self._backend.token_to_id(text)
        return token_id if token_id in self._parts.pieces else None

    def token_bytes(self, token_id: int) -> bytes:
        """The UTF-8 bytes that this token adds to the text (a piece of a code point, perhaps).

        Raises:
            TokenizerError: the id is not an entry of the vocabulary.
        """
        known = self._bytes.get(token_id)
        if known is not None:
            return known
        piece = self._parts.pieces.get(token_id)
        if piece is None:
            raise TokenizerError(
                f"{self.origin}: the id {token_id} is not an entry of the vocabulary (it has "
                f"{len(self._parts.pieces)} entries below {self.vocab_size}); send only ids that "
                "this tokenizer made"
            )
        entry = self._parts.added.get(token_id)
        data = piece_bytes(piece, self._parts.style) if entry is None else entry.text.encode()
        self._bytes[token_id] = data
        return data

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of these tokens, special ones included; invalid bytes become U+FFFD.

        It is the concatenation of `token_bytes`: the blank that a SentencePiece tokenizer puts
        before the first word is kept.

        Raises:
            TokenizerError: an id is not an entry of the vocabulary.
        """
        return b"".join(map(self.token_bytes, token_ids)).decode("utf-8", errors="replace")

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        """The token ids of `text`; no beginning-of-sequence token is added.

        Args:
            text: any text; lone surrogates are not allowed.
            parse_special: whether text that looks like markup (``<|im_end|>``, ``<think>``)
                becomes the token of that name. If false no markup id is ever returned.

        Raises:
            TokenizerError: the text has lone surrogates.
        """
        ids = self._encode(self._backend, text)
        if parse_special or self.markup_ids.isdisjoint(ids):
            return ids
        plain, back = self._plain
        return self._without_markup([back.get(i, i) for i in self._encode(plain, text)])

    def _encode(self, backend: tokenizers.Tokenizer, text: str) -> list[int]:
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise TokenizerError(
                f"the text has a lone surrogate at position {error.start}, which no encoding "
                "allows; replace it"
            ) from error
        return backend.encode(text, add_special_tokens=False).ids

    @cached_property
    def _plain(self) -> tuple[tokenizers.Tokenizer, Mapping[int, int]]:
        """The same tokenizer without its markup, and its ids that mean other ids here."""
        plain = tokenizers.Tokenizer(self._backend.model)
        if self._backend.normalizer is not None:
            plain.normalizer = self._backend.normalizer
        if self._backend.pre_tokenizer is not None:
            plain.pre_tokenizer = self._backend.pre_tokenizer
        decoder = self._backend.get_added_tokens_decoder()
        kept = {i: entry.text for i, entry in self._parts.added.items() if not entry.markup}
        plain.add_tokens([decoder[i] for i in kept if isinstance(decoder.get(i), AddedToken)])
        here = {i: plain.token_to_id(text) for i, text in kept.items()}
        return plain, {own: i for i, own in here.items() if own is not None}

    def _without_markup(self, ids: list[int]) -> list[int]:
        # Merging alone can still arrive at an entry that is also markup; then its bytes are spelled.
        if self.markup_ids.isdisjoint(ids):
            return ids
        spelled: list[int] = []
        for token_id in ids:
            if token_id in self.markup_ids:
                pieces = spell(self._parts.pieces[token_id], self._parts.style)
                ids_here = map(self._backend.token_to_id, pieces)
                spelled.extend(i for i in ids_here if i is not None)
            else:
                spelled.append(token_id)
        return spelled
