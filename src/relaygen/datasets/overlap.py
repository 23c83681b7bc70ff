"""Whether two sets of questions share some: exactly, or nearly.

A question is known by its words and operators: case, punctuation, markup and the form of
characters do not count. Two questions are near-duplicates if most runs of three words of the shorter one stand in
the longer one too. That finds an appended instruction and a changed sentence; a story told again
with other numbers stays apart, for the numbers are in most of its runs.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from relaygen.datasets.questions import Question
from relaygen.errors import DatasetError

RUN: Final = 3
"""Words in a run."""

NEAR: Final = 0.7
"""Near-duplicates share at least this part of the shorter one's runs."""

_OPERATORS: Final = frozenset("+=<>/^×÷−")

_MIN_RUNS: Final = 6
"""Shorter questions are compared exactly only: any two of them may share a phrase."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlap:
    """Two questions that are (nearly) the same.

    Attributes:
        calibration: the one.
        evaluation: the other.
        shared: part of the shorter one's runs of words that are in both; 1 for equal texts.
    """

    calibration: Question
    evaluation: Question
    shared: float


def normalised(text: str) -> str:
    r"""The words and operators of a text, in one form, with a space between them.

    Example:
        ```python
        from relaygen.datasets import normalised

        assert normalised("How many\n (in all)?") == "how many in all"
        ```
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(map(_kept, plain)).split())


def text_hash(text: str) -> str:
    """SHA-256 of the normalised text; of the text itself where that has no words."""
    return hashlib.sha256((normalised(text) or text).encode()).hexdigest()


def overlaps(calibration: Iterable[Question], evaluation: Sequence[Question]) -> list[Overlap]:
    """The calibration questions that are in the evaluation set, each with its closest match."""
    by_hash = {text_hash(q.question): q for q in evaluation}
    runs_of = [_runs(q.question) for q in evaluation]
    holders: dict[int, list[int]] = defaultdict(list)
    for index, runs in enumerate(runs_of):
        for run in runs:
            holders[run].append(index)
    found = []
    for question in calibration:
        same = by_hash.get(text_hash(question.question))
        if same is not None:
            found.append(Overlap(calibration=question, evaluation=same, shared=1.0))
            continue
        runs = _runs(question.question)
        counts = Counter(index for run in runs for index in holders.get(run, ()))
        best, shared = max(
            ((i, n / min(len(runs), len(runs_of[i]))) for i, n in counts.items()),
            key=lambda pair: pair[1],
            default=(-1, 0.0),
        )
        if shared >= NEAR:
            found.append(Overlap(calibration=question, evaluation=evaluation[best], shared=shared))
    return found


def check_apart(calibration: Sequence[Question], evaluation: Sequence[Question], name: str) -> None:
    """Refuses calibration questions that occur in an evaluation set.

    Raises:
        DatasetError: there are some; names the first ones.
    """
    found = overlaps(calibration, evaluation)
    if not found:
        return
    shown = "; ".join(
        f"{o.calibration.id!r:.60} is {_closeness(o)} {o.evaluation.id!r:.60}" for o in found[:3]
    )
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    raise DatasetError(
        f"{len(found)} of {len(calibration)} calibration questions are in the evaluation set "
        f"{name}: {shown}{more}. Figures on that set would mean nothing: take them out of the "
        "calibration file"
    )


def _closeness(found: Overlap) -> str:
    return "equal to" if found.shared == 1.0 else f"{found.shared:.0%} the same as"


def _kept(char: str) -> str:
    if char in _OPERATORS:
        return f" {char} "
    return char if char.isalnum() or unicodedata.category(char)[0] == "M" else " "


def _words(text: str) -> Iterator[str]:
    """Words; in scripts without spaces every character is one."""
    for word in normalised(text).split():
        if word.isascii():
            yield word
        else:
            run = ""
            for char in word:
                if "\u2e80" <= char <= "\u9fff" or "\uf900" <= char <= "\ufaff":
                    if run:
                        yield run
                    run = ""
                    yield char
                else:
                    run += char
            if run:
                yield run


def _runs(text: str) -> frozenset[int]:
    words = list(_words(text))
    runs = frozenset(hash(tuple(words[i : i + RUN])) for i in range(len(words) - RUN + 1))
    return runs if len(runs) >= _MIN_RUNS else frozenset()
