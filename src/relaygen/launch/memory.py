"""How two servers divide one memory.

The rule: each server gets its weights, an allowance for what a step needs, and then as much room
for keys and values that both hold *the same number of tokens*. In a relay every token of a
generation lies in both caches, whoever wrote it, so room for more tokens in one of them would never
be used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

GIB = 2**30
ALLOWANCE = GIB * 3 // 2
"""Bytes a server needs beside weights and cache: CUDA context, activations, graphs. An estimate."""

GPU_PART = 0.90
"""Of a GPU's memory the servers take this part: vLLM's own default for one server is 0.92, and a
second CUDA context must fit."""

RAM_PART = 0.75
"""Of a machine's memory; the rest is for the system and the page cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryNeed:
    """What one server puts into one device.

    Attributes:
        weights: bytes, a draft model's included.
        cache_per_token: bytes of keys and values.
    """

    weights: int
    cache_per_token: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """Who gets how much of one device.

    Attributes:
        total: bytes of the device.
        budget: bytes that the servers may take together.
        shares: bytes of each server.
        tokens: that each cache has room for; negative where not even the weights fit.
    """

    total: int
    budget: int
    shares: tuple[int, ...]
    tokens: int

    def fraction(self, which: int) -> float:
        """A server's part of the whole device, rounded down to three places."""
        return max(1, self.shares[which] * 1000 // self.total) / 1000

    def fraction_of_rest(self, which: int) -> float:
        """A server's part of what those before it leave, without the allowance."""
        rest = self.budget - sum(self.shares[:which])
        static = max(0, self.shares[which] - ALLOWANCE)
        return min(950, max(1, static * 1000 // max(1, rest))) / 1000


def divide(needs: Sequence[MemoryNeed], *, total: int, free: int, part: float) -> Division:
    """Divides a device by the rule of this module.

    Where the weights alone do not fit, each server gets a part in proportion to its weights; its
    caller warns.

    Args:
        needs: of each server, in the order in which they start.
        total: bytes of the device.
        free: bytes that nobody uses now.
        part: of the device that servers may take.
    """
    budget = min(int(total * part), free)
    fixed = [need.weights + ALLOWANCE for need in needs]
    per_token = sum(need.cache_per_token for need in needs)
    tokens = (budget - sum(fixed)) // max(1, per_token)
    if tokens > 0:
        shares = [f + n.cache_per_token * tokens for f, n in zip(fixed, needs, strict=True)]
    else:
        shares = [budget * f // sum(fixed) for f in fixed]
    return Division(total=total, budget=budget, shares=tuple(shares), tokens=tokens)
