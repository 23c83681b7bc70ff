"""A reasoning of known lengths: the large model's sentences, a cue, the small model's sentence."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from relaygen import demo_models
from relaygen.tokens import Tokenizer
from relaygen.types import ModelRole

CUES = ("So,", "Thus,", "Now,", "Therefore,", "Okay,")
"""Of the packaged profile ``demo``."""
_ANSWER = ".\n</think>\n\nThe answer is 12."
_WORDS = ("the", "box", "has", "more", "apples", "and", "it", "is", "in", "all", "than", "that")


def tokenizer() -> Tokenizer:
    """The one that the traces are written in."""
    return Tokenizer.load(demo_models.hf_folder("large"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Story:
    """What both models recite.

    Attributes:
        text: of everything, tags included.
        token_ids: of `text`.
        segments: who writes how many of them by the rules of the relay, the end of sequence too.
    """

    text: str
    token_ids: tuple[int, ...]
    segments: tuple[tuple[ModelRole, int], ...]

    def written(self, role: ModelRole) -> int:
        """Tokens by one model."""
        return sum(count for writer, count in self.segments if writer is role)

    @property
    def handoffs(self) -> int:
        """Large to small, the answer included."""
        return sum(writer is ModelRole.SMALL for writer, _ in self.segments)

    @property
    def requests(self) -> int:
        """One a segment."""
        return len(self.segments)


def story(*, tokens: int, handoffs: int, large_share: float, seed: int = 0) -> Story:
    """A story of about so many tokens.

    Args:
        tokens: in all.
        handoffs: at cues; the answer is one more.
        large_share: of the tokens, in 0..1: what the large model writes.
        seed: for the words.
    """
    made = tokenizer()
    draw = Random(seed)
    answer = _ids(made, _ANSWER)
    # The large model ends the reasoning, and the small one writes what follows the tag.
    tag_end = next(i for i, t in enumerate(answer, 1) if made.token_bytes(t) == b"</think>")
    body = tokens - len(answer)
    small_left = round(tokens * (1 - large_share)) - (len(answer) - tag_end + 1)
    small_sizes = _spread(small_left, handoffs)
    cues = [_ids(made, " " + CUES[number % len(CUES)]) for number in range(handoffs)]
    # A last large sentence follows the last small one.
    large_left = body + 1 - small_left - sum(map(len, cues))
    large_sizes = _spread(large_left, handoffs + 1)
    ids: list[int] = []
    segments: list[tuple[ModelRole, int]] = []
    for number, size in enumerate(large_sizes):
        own = _sentence(made, size, draw, first=number == 0)
        if number < handoffs:
            own += cues[number]
            small = _sentence(made, small_sizes[number], draw, first=False, opened=True)
            segments += [(ModelRole.LARGE, len(own)), (ModelRole.SMALL, len(small))]
            ids += own + small
        else:
            own = own[:-1]  # its full stop is the answer's first token
            segments.append((ModelRole.LARGE, len(own) + tag_end))
            ids += own + answer
    segments.append((ModelRole.SMALL, len(answer) - tag_end + 1))
    text = made.decode(ids)
    assert _ids(made, text) == ids, "the text of the story is encoded to other tokens"
    return Story(text=text, token_ids=tuple(ids), segments=tuple(segments))


def _spread(total: int, parts: int) -> list[int]:
    return [total * (i + 1) // parts - total * i // parts for i in range(parts)]


def _sentence(
    made: Tokenizer, size: int, draw: Random, *, first: bool, opened: bool = False
) -> list[int]:
    """So many tokens: words of one token each, and a full stop."""
    if size < 3:
        raise ValueError(f"a sentence of {size} tokens; at least 3 are needed")
    stop = _ids(made, ".")
    ids = [] if opened else _ids(made, "The" if first else " The")
    words = [found for word in _WORDS if len(found := _ids(made, f" {word}")) == 1]
    while len(ids) < size - len(stop):
        ids += draw.choice(words)
    return ids + stop


def _ids(made: Tokenizer, text: str) -> list[int]:
    return made.encode(text, parse_special=True)
