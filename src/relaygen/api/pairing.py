"""Whether two models can share tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from relaygen.chat import ChatEncoder
from relaygen.engines.base import Engine
from relaygen.relay.profile import CueProfile
from relaygen.tokens import Fingerprint, Tokenizer, compare, shared_ids


def check_match(
    large: Tokenizer, small: Tokenizer, profile: CueProfile | None
) -> tuple[str, frozenset[int]]:
    """The common fingerprint, and the ids that mean the same in both.

    Raises:
        TokenizerMismatchError: the tokenizers differ.
        CueProfileError: the profile belongs to another tokenizer.
        ChatTemplateError: the large model has no usable chat template.
    """
    ChatEncoder(large)  # raises where there is no usable template
    prints = [Fingerprint.of(tokenizer) for tokenizer in (large, small)]
    compare(prints[0], prints[1])
    if profile is not None:
        profile.check_fingerprint(prints[0].hexdigest)
    return prints[0].hexdigest, shared_ids(prints[0], prints[1])


def close_now(engines: Sequence[Engine]) -> None:
    """Frees models from code that is not async, whether or not an event loop runs around it."""

    async def close() -> None:
        for engine in engines:
            await engine.aclose()

    closing = threading.Thread(target=lambda: asyncio.run(close()), name="relaygen-close")
    closing.start()
    closing.join()
