"""One seed a leg, so that a relay's noise is that of one model writing."""

from __future__ import annotations

import hashlib

from relaygen.types import ModelRole


def leg_seed(seed: int, choice_index: int, position: int, role: ModelRole) -> int:
    """A 32-bit hash of all that tells one leg from another.

    Equal seeds on every leg would repeat the same noise after each handoff.

    Args:
        seed: of the request.
        choice_index: which of ``n`` choices.
        position: absolute token position, prompt included, at which the leg begins.
        role: who writes.
    """
    text = f"{seed}/{choice_index}/{position}/{role}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little")
