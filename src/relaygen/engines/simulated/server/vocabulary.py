"""A real tokenizer behind a simulated server."""

from __future__ import annotations

from relaygen.tokens import Tokenizer


class TokenizerVocabulary:
    """Implements `backend.ServedVocabulary`."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    def __len__(self) -> int:
        return self._tokenizer.vocab_size

    def token_bytes(self, token_id: int) -> bytes:
        """See `ServedVocabulary.token_bytes`."""
        return self._tokenizer.token_bytes(token_id)

    def encode(self, text: str) -> list[int]:
        """See `ServedVocabulary.encode`."""
        return self._tokenizer.encode(text, parse_special=True)
