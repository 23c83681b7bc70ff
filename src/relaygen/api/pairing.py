"""Whether two models can share tokens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from relaygen.chat import ChatEncoder
from relaygen.engines.base import Engine
from relaygen.relay.profile import CueProfile
from relaygen.tokens import Fingerprint, Tokenizer, compare, shared_ids


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """What two models that fit have in common.

    Attributes:
        encoder: by the large model's chat template.
        fingerprint: of the tokenizer of both.
        shared_ids: ids that mean the same in both.
    """

    encoder: ChatEncoder
    fingerprint: str
    shared_ids: frozenset[int]


def match(large: Tokenizer, small: Tokenizer, profile: CueProfile | None) -> Match:
    """Checks that two models fit; a second or two for vocabularies of 150,000.

    Raises:
        TokenizerMismatchError: the tokenizers differ.
        CueProfileError: the profile belongs to another tokenizer.
        ChatTemplateError: the large model has no usable chat template.
    """
    encoder = ChatEncoder(large)
    of_large = Fingerprint.of(large)
    of_small = of_large if small is large else Fingerprint.of(small)
    compare(of_large, of_small)
    if profile is not None:
        profile.check_fingerprint(of_large.hexdigest)
    return Match(
        encoder=encoder,
        fingerprint=of_large.hexdigest,
        shared_ids=shared_ids(of_large, of_small),
    )


def close_now(engines: Sequence[Engine]) -> None:
    """Frees models from code that is not async, whether or not an event loop runs around it."""

    async def close() -> None:
        for engine in engines:
            await engine.aclose()

    closing = threading.Thread(target=lambda: asyncio.run(close()), name="relaygen-close")
    closing.start()
    closing.join()
