"""What can be relied upon whichever replica a leg meets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from relaygen.engines.base import Capabilities
from relaygen.engines.pool.options import Replica
from relaygen.errors import InvalidRequestError


def weakest(replicas: Sequence[Replica]) -> Capabilities:
    """What all replicas can do; never inline.

    Raises:
        InvalidRequestError: there is no replica, two have one name, or their vocabularies differ
            in size: they cannot hold one model.
    """
    if not replicas:
        raise InvalidRequestError("a pool has no replica; give at least one", param="replicas")
    names = [replica.name for replica in replicas]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InvalidRequestError(f"two replicas are called {twice!r}", param="replicas")
    every = [replica.engine.capabilities() for replica in replicas]
    for replica, capabilities in zip(replicas, every, strict=True):
        if capabilities.vocab_size != every[0].vocab_size:
            raise InvalidRequestError(
                f"replica {replica.name!r} has a vocabulary of {capabilities.vocab_size} and "
                f"{names[0]!r} one of {every[0].vocab_size}: they do not hold the same model",
                param="replicas",
            )
    # False is less than True: the weakest of each, flag, number or rank, is the smallest.
    found: dict[str, Any] = {
        entry.name: min(getattr(capabilities, entry.name) for capabilities in every)
        for entry in fields(Capabilities)
    }
    return Capabilities(**{**found, "inline": False})
