"""Trajectories made from texts: every word, with the space before it, is a token."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from relaygen.profiling.trajectories import COLUMNS, UNKNOWN, Record, Trajectories

PIECE = re.compile(r" ?\w+|\n+|[^\w]")


class Words:
    """A vocabulary that grows. Implements `relaygen.relay.vocabulary.Vocabulary`."""

    def __init__(self) -> None:
        self.ids: dict[str, int] = {}
        self.texts: list[str] = []

    def token_bytes(self, token_id: int) -> bytes:
        return self.texts[token_id].encode()

    def encode(self, text: str) -> list[int]:
        pieces = PIECE.findall(text)
        assert "".join(pieces) == text
        for piece in pieces:
            if piece not in self.ids:
                self.ids[piece] = len(self.texts)
                self.texts.append(piece)
        return [self.ids[piece] for piece in pieces]


Value = Callable[[str, int], float]
"""From the sentence so far and the token's place in it to a quantity."""


def made(
    texts: Sequence[tuple[str, Sequence[str]]],
    margin: Callable[[str, int, np.random.Generator], float],
    agrees: Callable[[str, int, np.random.Generator], bool] | None = None,
    *,
    answer: int = 0,
    seed: int = 0,
) -> tuple[Trajectories, Words]:
    """Trajectories of (question, sentences); `margin` gets a sentence and a token's place in it.

    Args:
        texts: one trajectory each.
        margin: of a token.
        agrees: likewise; None: the small model was not asked.
        answer: tokens of the answer.
        seed: of the generator that both get.
    """
    rng = np.random.default_rng(seed)
    words = Words()
    values: dict[str, list[float]] = {name: [] for name in COLUMNS}
    records = []
    seen: dict[str, int] = {}
    for question, sentences in texts:
        count = 0
        for sentence in [*sentences, *["x"] * answer]:
            ids = words.encode(sentence)
            count += len(ids)
            for place, token_id in enumerate(ids):
                values["token_id"].append(token_id)
                values["margin"].append(margin(sentence, place, rng))
                agreed = UNKNOWN if agrees is None else int(agrees(sentence, place, rng))
                values["agrees"].append(agreed)
        seen[question] = seen.get(question, -1) + 1
        records.append(
            Record(
                question=question,
                sample=seen[question],
                prompt_tokens=3,
                tokens=count,
                reasoning=(0, count - answer),
                end="eos",
            )
        )
    total = len(values["token_id"])
    columns = {
        name: np.array(values[name] or np.zeros(total), dtype=kind)
        for name, kind in COLUMNS.items()
    }
    return Trajectories(records=tuple(records), columns=columns), words


def story(rng: np.random.Generator, sentences: int = 12) -> list[str]:
    """Sentences with openers: "So," and "Wait," and none."""
    names = ["So, the sum", "Wait, the sum", "The number", "Now, a sum"]
    return [
        f" {names[rng.integers(len(names))]} of {rng.integers(9)} and {rng.integers(9)} is here."
        for _ in range(sentences)
    ]
