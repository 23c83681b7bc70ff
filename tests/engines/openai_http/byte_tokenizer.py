"""A vocabulary of bytes as an engine's tokenizer, and a model whose output any text can hold."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.engines.sampling import Logits, Sampler
from relaygen.engines.simulated import ByteVocabulary, RandomModel


class ByteTokenizer:
    """Implements `TextTokenizer`."""

    def __init__(self, vocabulary: ByteVocabulary) -> None:
        self._vocabulary = vocabulary
        self.vocab_size = len(vocabulary)
        self.entry_ids = frozenset(range(len(vocabulary)))
        self.markup_ids = vocabulary.special_ids

    def token_bytes(self, token_id: int) -> bytes:
        return self._vocabulary.token_bytes(token_id)

    def encode(self, text: str, *, parse_special: bool) -> list[int]:
        return self._vocabulary.encode(text, allow_special=parse_special)


class AsciiModel(RandomModel):
    """Never writes what is no ASCII character."""

    def logits(self, prefix: Sequence[int], origin: int) -> Logits:
        logits = super().logits(prefix, origin)
        logits[128:] -= 60.0
        return logits

    def draw(self, prefix: Sequence[int], origin: int, sampler: Sampler) -> int:
        return sampler.draw(self.logits(prefix, origin), len(prefix))
