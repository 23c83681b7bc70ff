"""Token scores from the few log-probabilities that a server lists."""

from __future__ import annotations

import math
from collections.abc import Iterable

from relaygen.errors import EngineProtocolError
from relaygen.types import TokenScore


def listed_score(
    logprob: float, alternatives: Iterable[tuple[int, float]], *, top: int
) -> TokenScore:
    """One token's score; the entropy needs the whole distribution, and stays None.

    Args:
        logprob: of the token that was written.
        alternatives: the most likely tokens with theirs, at least two, in any order.
        top: how many of them to keep.

    Raises:
        EngineProtocolError: there are fewer than two.
    """
    ranked = sorted(alternatives, key=lambda pair: -pair[1])
    if len(ranked) < max(2, top):
        raise EngineProtocolError(
            f"the server listed {len(ranked)} alternatives of a token where {max(2, top)} were "
            "asked for",
            retryable=True,
        )
    margin = math.exp(min(0.0, ranked[0][1])) - math.exp(min(0.0, ranked[1][1]))
    return TokenScore(
        logprob=min(0.0, logprob),
        margin=min(1.0, max(0.0, margin)),
        top=tuple((token_id, min(0.0, value)) for token_id, value in ranked[:top]),
        likeliest=logprob >= ranked[0][1],
    )
