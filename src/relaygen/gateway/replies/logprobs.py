"""Log-probabilities in OpenAI's two shapes, one entry a token of the visible text.

A token counts if its text begins inside the text that is shown: an end-of-sequence token does not,
nor does one behind the place where a stop string cut.
"""

from __future__ import annotations

from collections.abc import Iterator

from relaygen.gateway.wire.replies import CompletionLogprobs, ContentLogprob, TopLogprob
from relaygen.relay.events import Emitted
from relaygen.tokens import Tokenizer
from relaygen.types import TokenScore

_LOWEST = -9999.0
"""What stands for minus infinity, which JSON cannot say. Source: OpenAI's API reference."""


def content_logprobs(part: Emitted, tokenizer: Tokenizer) -> list[ContentLogprob]:
    """The entries of a piece of content."""
    return [
        ContentLogprob(
            token=_text(data),
            logprob=_finite(score.logprob),
            bytes=list(data),
            top_logprobs=[
                TopLogprob(token=_text(other), logprob=_finite(logprob), bytes=list(other))
                for token_id, logprob in score.top
                for other in (tokenizer.token_bytes(token_id),)
            ],
        )
        for data, score, _ in _visible(part, tokenizer)
    ]


def add_completion_logprobs(
    logprobs: CompletionLogprobs, part: Emitted, tokenizer: Tokenizer, offset: int
) -> None:
    """Appends the entries of a piece of text that begins `offset` characters into the choice's."""
    encoded = part.text.encode()
    for data, score, start in _visible(part, tokenizer):
        logprobs.tokens.append(_text(data))
        logprobs.token_logprobs.append(_finite(score.logprob))
        logprobs.top_logprobs.append(
            {_text(tokenizer.token_bytes(i)): _finite(logprob) for i, logprob in score.top}
        )
        logprobs.text_offset.append(offset + len(encoded[:start].decode(errors="ignore")))


def _visible(part: Emitted, tokenizer: Tokenizer) -> Iterator[tuple[bytes, TokenScore, int]]:
    """Bytes, score and first byte in the text of each token that shows."""
    end, start = len(part.text.encode()), 0
    for token_id, score in zip(part.token_ids, part.scores or (), strict=False):
        if start >= end:
            return
        data = tokenizer.token_bytes(token_id)
        if score is not None:
            yield data, score, start
        start += len(data)


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="replace")


def _finite(logprob: float) -> float:
    return max(logprob, _LOWEST)
