"""Where the reasoning of a recorded generation begins and ends."""

from __future__ import annotations

from collections.abc import Sequence

from relaygen.chat import FirstStage, ReasoningFormat
from relaygen.relay.vocabulary import Detokeniser, Vocabulary


def reasoning_span(
    token_ids: Sequence[int],
    reasoning: ReasoningFormat | None,
    first_stage: FirstStage | None,
    vocabulary: Vocabulary,
    eos_ids: frozenset[int],
) -> tuple[int, int]:
    """(first, one past the last) token of the reasoning, without its tags and the end-of-sequence.

    Args:
        token_ids: what was generated.
        reasoning: the tags; None: the model has none, and all it writes is one stage.
        first_stage: what the prompt says comes first.
        vocabulary: of the tokens.
        eos_ids: ids that end a sequence.
    """
    stop = len(token_ids) - (bool(token_ids) and token_ids[-1] in eos_ids)
    if reasoning is None:
        return 0, stop
    start = 0
    if first_stage is not FirstStage.REASONING:
        opened = _find(token_ids, reasoning.open_ids, reasoning.open, vocabulary)
        push = Detokeniser(vocabulary).push
        if opened is None or "".join(push(i) for i in token_ids[: opened[0]]).strip():
            return 0, 0
        start = opened[1]
    closed = _find(token_ids[start:], reasoning.close_ids, reasoning.close, vocabulary)
    return start, stop if closed is None else start + closed[0]


def _find(
    token_ids: Sequence[int], tag_ids: Sequence[int], tag: str, vocabulary: Vocabulary
) -> tuple[int, int] | None:
    """The tokens of the first tag: by its id where it is one token, else by its text."""
    if len(tag_ids) == 1:
        ids = list(token_ids)
        if tag_ids[0] not in ids:
            return None
        place = ids.index(tag_ids[0])
        return place, place + 1
    push = Detokeniser(vocabulary).push
    texts = [push(token_id) for token_id in token_ids]
    at = "".join(texts).find(tag)
    if at < 0:
        return None
    ends, length = [], 0
    for text in texts:
        length += len(text)
        ends.append(length)
    first = next(i for i, end in enumerate(ends) if end > at)
    last = next(i for i, end in enumerate(ends) if end >= at + len(tag))
    return first, last + 1
