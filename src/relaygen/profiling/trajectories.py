"""Scored trajectories, as columns: one array a quantity, over the tokens of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Column = npt.NDArray[Any]

UNKNOWN: Final = -1
"""In a column of yes and no."""

COLUMNS: Final[dict[str, npt.DTypeLike]] = {
    "token_id": np.int32,
    "margin": np.float32,
    "logprob": np.float32,
    "entropy": np.float32,
    "own_choice": np.int8,
    "agrees": np.int8,
    "small_logprob": np.float32,
}
"""Of every token: its id; the large model's margin, log-probability and entropy (NaN: not known);
whether it is the large model's likeliest token, and the small one's (`UNKNOWN`: not known); the
small model's log-probability (NaN: not known)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """What is known of one trajectory beside its tokens.

    Attributes:
        question: id of the question.
        sample: which of several trajectories of that question.
        prompt_tokens: of the prompt.
        tokens: that were written.
        reasoning: (first, one past the last) token of the reasoning, without its tags.
        end: why it ended ("eos", "length").
        right: whether the answer is right; None where that is not known.
    """

    question: str
    sample: int
    prompt_tokens: int
    tokens: int
    reasoning: tuple[int, int]
    end: str
    right: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Trajectories:
    """All trajectories of a profile.

    Attributes:
        records: one each.
        columns: by name in `COLUMNS`, over the tokens of all trajectories, one after another.
    """

    records: tuple[Record, ...]
    columns: dict[str, Column]

    @property
    def first(self) -> Ints:
        """Of shape (trajectories + 1,): trajectory i has the tokens ``first[i]:first[i + 1]``."""
        return np.concatenate(([0], np.cumsum([r.tokens for r in self.records], dtype=np.int64)))

    @property
    def tokens(self) -> int:
        """Of all trajectories, answers included."""
        return sum(record.tokens for record in self.records)

    @property
    def questions(self) -> tuple[str, ...]:
        """Distinct ids, in the order in which they first come."""
        return tuple(dict.fromkeys(record.question for record in self.records))

    @property
    def question_of(self) -> Ints:
        """Of shape (trajectories,): index in `questions`."""
        place = {name: index for index, name in enumerate(self.questions)}
        return np.array([place[r.question] for r in self.records], dtype=np.int64)

    @property
    def has_small(self) -> bool:
        """Whether the small model has scored every token."""
        return bool(self.tokens) and bool((self.columns["agrees"] != UNKNOWN).all())

    def only(self, wanted: Sequence[bool]) -> Trajectories:
        """Some of them; `wanted` has one entry a trajectory."""
        tokens = np.repeat(np.asarray(wanted, dtype=bool), [r.tokens for r in self.records])
        return Trajectories(
            records=tuple(r for r, kept in zip(self.records, wanted, strict=True) if kept),
            columns={name: column[tokens] for name, column in self.columns.items()},
        )

    def of(self, index: int) -> dict[str, Column]:
        """The columns of one trajectory."""
        first = self.first
        return {n: c[first[index] : first[index + 1]] for n, c in self.columns.items()}


def columns_of(values: Mapping[str, Sequence[Any]]) -> dict[str, Column]:
    """Sequences as the columns of one trajectory."""
    return {name: np.asarray(values[name], dtype=kind) for name, kind in COLUMNS.items()}
