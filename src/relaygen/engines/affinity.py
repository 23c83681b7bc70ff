"""Which generations should meet on one replica: a key that travels inside the generation's id.

Every method of an engine is told the id, so that a leg, a prefill and a score of one generation
find the same replica without a further argument. Engines that have no replicas take ids as they
are.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence

PREFIX_TOKENS = 256
"""Prompts that begin with the same so many tokens have most of a prefix cache in common."""

_MARK = "~"  # allowed unescaped in a URL and in a header


def new_generation_id(affinity: str) -> str:
    """A fresh id; ids that were made with an equal `affinity` have an equal `affinity_of`.

    Args:
        affinity: any text that the turns of one chat share, such as OpenAI's ``prompt_cache_key``.
            Only its hash is in the id.
    """
    digest = hashlib.blake2b(affinity.encode("utf-8", "surrogatepass"), digest_size=8)
    return f"{digest.hexdigest()}{_MARK}{uuid.uuid4().hex}"


def prompt_affinity(prompt: Sequence[int]) -> str:
    """An affinity for prompts that come without one: their first `PREFIX_TOKENS` tokens.

    A chat whose first prompt is shorter changes its key while it grows; give those their own.
    """
    return ",".join(map(str, prompt[:PREFIX_TOKENS]))


def affinity_of(generation_id: str) -> str:
    """What ids of one affinity have in common; an id that somebody else made is its own key."""
    return generation_id.rpartition(_MARK)[0] or generation_id
