"""Which replica a generation goes to.

Source: rendezvous hashing is Thaler and Ravishankar's ("Using name-based mappings to increase hit
rates", 1998): a replica that comes or goes moves only its own keys, and all gateways agree without
talking. The bound is that of Mirrokni, Thorup, Zadimoghaddam, "Consistent hashing with bounded
loads", arXiv 1608.01350. That a bound should only bite above a load that matters is seen in
SGLang's router (an absolute threshold beside the relative one).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def ranked(key: str, names: Sequence[str]) -> list[str]:
    """The names in the order in which `key` prefers them."""

    def weight(name: str) -> bytes:
        return hashlib.blake2b(f"{key}\0{name}".encode(), digest_size=8).digest()

    return sorted(names, key=weight, reverse=True)


def bound(legs: int, replicas: int, *, balance: float, sticky_legs: int) -> int:
    """The most legs that a replica may have and still be given the generations of its keys.

    Args:
        legs: at work on all replicas, the new one not counted.
        replicas: that may be chosen.
        balance: times the mean.
        sticky_legs: at least so many.
    """
    return max(sticky_legs, math.ceil(balance * (legs + 1) / replicas))


def choose(preferred: Sequence[T], load: Callable[[T], int], most: int) -> T:
    """The first of `preferred` unless it has `most` legs; then the least loaded, in that order."""
    first = preferred[0]
    return first if load(first) < most else min(preferred, key=load)
