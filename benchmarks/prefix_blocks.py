"""What a prefix cache of whole blocks could have held, worked out from traces."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.asking import Asked


class PrefixBlocks:
    """Counts, for each model, the prompt tokens in blocks that its server had read before.

    Only blocks of the same generation count, and at most what leaves one token to read: that is
    what a server with room for everything would find. Overruns are not in a trace and not counted.
    """

    def __init__(self, block: int) -> None:
        """`block`: tokens of a block."""
        self._block = block

    def possible(self, asked: Sequence[Asked]) -> dict[str, int]:
        """Tokens that could have come from the cache, by role."""
        total = {"large": 0, "small": 0}
        for run in asked:
            held = {"large": 0, "small": 0}
            position = run.prompt_tokens
            for segment in run.trace["segments"]:
                role, written = segment["role"], len(segment["token_ids"])
                whole = min(held[role], position - 1) // self._block
                total[role] += whole * self._block
                position += written
                held[role] = position - 1  # the last token written is never read by its writer
        return total
