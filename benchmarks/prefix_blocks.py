"""What a prefix cache of whole blocks could have held, worked out from traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.asking import Asked
from relaygen.types import ModelRole


@dataclass(frozen=True, slots=True)
class LegPrefix:
    """A leg's prompt, and how many tokens of it its server's cache could hold."""

    role: ModelRole
    prompt: int
    possible: int


class PrefixBlocks:
    """Counts, for each model, the prompt tokens in blocks that its server had read before.

    Only blocks of the same generation count, and at most what leaves one token to read: that is
    what a server with room for everything would find. Overruns are not in a trace and not counted: a
    server finds more where what it wrote too much is what the other model wrote after it.
    """

    def __init__(self, block: int) -> None:
        """`block`: tokens of a block."""
        self._block = block

    def possible(self, asked: Sequence[Asked]) -> dict[ModelRole, int]:
        """Tokens that could have come from the cache, by role."""
        total = dict.fromkeys(ModelRole, 0)
        for run in asked:
            for leg in self.legs(run):
                total[leg.role] += leg.possible
        return total

    def legs(self, run: Asked) -> list[LegPrefix]:
        """What each leg of a generation could find, in order."""
        held = dict.fromkeys(ModelRole, 0)
        position, found = run.prompt_tokens, []
        for role, written in run.legs:
            whole = min(held[role], position - 1) // self._block
            found.append(LegPrefix(role, position, whole * self._block))
            position += written
            held[role] = position - 1  # the last token written is never read by its writer
        return found
