"""The sequences of one context, and which tokens each still holds in its KV cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from relaygen.engines.llama_cpp.model import LlamaModel
from relaygen.engines.prefix import common_prefix


@dataclass(slots=True)
class CachedSequence:
    """One of llama.cpp's sequences.

    Attributes:
        index: llama.cpp's id.
        tokens: that its KV cache holds.
        generation_id: the generation it was last used for.
        last_used: counts uses of all sequences.
        busy: a job runs on it.
    """

    index: int
    tokens: list[int] = field(default_factory=list)
    generation_id: str = ""
    last_used: int = 0
    busy: bool = False


class SequenceCache:
    """Finds the sequence that needs the least reading; the least recently used makes room."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model
        self._sequences = [CachedSequence(index) for index in range(model.sequences)]
        self._clock = 0

    def acquire(
        self, prompt: Sequence[int], most: int, generation_id: str, *, evict: bool = True
    ) -> CachedSequence | None:
        """Takes a sequence and rewinds it to what it has in common with `prompt`.

        Args:
            prompt: what will be read.
            most: keep at most so many tokens: the logits after the next one are needed.
            generation_id: prefer the sequence that this generation used; may be empty.
            evict: whether another generation's sequence may be overwritten.

        Returns:
            the sequence, whose ``tokens`` begin `prompt`; None if all that may be used are busy.
        """
        sequence = self._choose(prompt, generation_id, evict)
        if sequence is None:
            return None
        held = len(sequence.tokens)
        common = common_prefix(sequence.tokens, prompt)
        # A prefix that is there already is no reason to forget what follows it.
        keep = held if common == len(prompt) <= most else min(common, most)
        keep = self._model.rewind(sequence.index, held, keep)
        del sequence.tokens[keep:]
        sequence.generation_id = generation_id
        sequence.busy = True
        return sequence

    def release(self, sequence: CachedSequence) -> None:
        """Gives a sequence back; it keeps its tokens."""
        self._clock += 1
        sequence.last_used = self._clock
        sequence.busy = False

    def restore(self, sequence: CachedSequence) -> list[int]:
        """Undoes a step that was broken off; returns tokens that must be read again for it."""
        tokens = sequence.tokens
        kept = self._model.rewind(sequence.index, len(tokens) + 1, len(tokens))
        lost = tokens[kept:]
        del tokens[kept:]
        return lost

    def forget(self, sequence: CachedSequence) -> None:
        """Empties a sequence whose state is not known any more."""
        self._model.clear(sequence.index)
        sequence.tokens.clear()

    def _choose(
        self, prompt: Sequence[int], generation_id: str, evict: bool
    ) -> CachedSequence | None:
        idle = [sequence for sequence in self._sequences if not sequence.busy]
        if generation_id:
            for sequence in idle:
                if sequence.generation_id == generation_id:
                    return sequence
        best, longest = None, 0
        empty = None
        for sequence in idle:
            if not sequence.tokens:
                empty = empty or sequence
                continue
            common = common_prefix(sequence.tokens, prompt)
            # Sharing little with a long sequence would destroy more than it saves.
            if common > longest and 2 * common >= len(sequence.tokens):
                best, longest = sequence, common
        if best is not None or empty is not None or not evict:
            return best or empty
        return min(idle, key=lambda sequence: sequence.last_used, default=None)
