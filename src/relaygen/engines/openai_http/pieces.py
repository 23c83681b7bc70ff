"""From bytes back to the tokens that wrote them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

from relaygen.engines.openai_http.dialects.base import TextTokenizer


class Pieces:
    """The ordinary tokens of a vocabulary, by their bytes."""

    def __init__(self, tokenizer: TextTokenizer) -> None:
        self._tokenizer = tokenizer

    def only_split(self, data: bytes, count: int) -> tuple[int, ...] | None:
        """The only way to write `data` in `count` tokens; None if there is none, or another."""
        found = None
        for ids in self._splits(data, count):
            if found is not None:
                return None
            found = ids
        return found

    def _splits(self, data: bytes, count: int) -> Iterator[tuple[int, ...]]:
        if count == 0:
            if not data:
                yield ()
            return
        for length in range(1, len(data) - count + 2):
            for token_id in self._by_bytes.get(data[:length], ()):
                for rest in self._splits(data[length:], count - 1):
                    yield (token_id, *rest)

    @cached_property
    def _by_bytes(self) -> dict[bytes, list[int]]:
        found: dict[bytes, list[int]] = {}
        for token_id in self._tokenizer.entry_ids - self._tokenizer.markup_ids:
            found.setdefault(self._tokenizer.token_bytes(token_id), []).append(token_id)
        return found
