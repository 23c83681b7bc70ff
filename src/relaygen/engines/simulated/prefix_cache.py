"""What a simulated engine has read already: one token sequence a generation."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

from relaygen.engines.prefix import common_prefix


class PrefixCache:
    """The last sequence of each of the latest generations, least recently used out first."""

    def __init__(self, sequences: int) -> None:
        """`sequences`: how many generations are kept; 0 keeps none."""
        self._limit = sequences
        self._sequences: OrderedDict[str, list[int]] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, generation_id: str, prompt: Sequence[int]) -> int:
        """Keeps `prompt`; returns how many of its tokens had to be read.

        A whole prompt in the cache still costs its last token, as in a real model: the logits
        after it are needed. Without a generation id nothing is kept.
        """
        with self._lock:
            known = self._sequences.pop(generation_id, [])
            if generation_id and self._limit:
                self._sequences[generation_id] = list(prompt)
                while len(self._sequences) > self._limit:
                    self._sequences.popitem(last=False)
        return max(1, len(prompt) - common_prefix(known, prompt))

    def append(self, generation_id: str, token_id: int) -> None:
        """Adds a token that was read after what the cache holds."""
        with self._lock:
            known = self._sequences.get(generation_id)
            if known is not None:
                known.append(token_id)
