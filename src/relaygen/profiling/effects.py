"""What follows a cue, against the rest of the same trajectories.

The effect of a cue is the mean margin of the tokens after it minus the mean margin of the rest: the
tokens of other sentences, from the same place in their sentence on. (The first token of a sentence is
hard to foretell whatever it is, so that a rest with the first tokens in it would make any opener
look good.) Tokens of one trajectory are not independent, so questions are the unit: intervals come
from drawing questions with replacement, p-values from the spread between questions.

Source: Song, Kim, Kim, arXiv 2602.06454, for the margin after a cue; Cameron, Gelbach, Miller (2008)
for inference with clusters; Benjamini, Hochberg (1995) for the q-values.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from relaygen.errors import MissingExtraError
from relaygen.profiling.sentences import Occurrences, Sentences
from relaygen.profiling.trajectories import Column, Floats, Ints

REPLICATES: Final = 2000
_DEEPEST: Final = 16
"""Places in a sentence are told apart up to here."""
_CHUNK: Final = 250
_ROUNDING: Final = 1e-7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Effects:
    """One entry a cue.

    Attributes:
        mean: of the tokens after the cue.
        rest: of the rest.
        effect: the difference.
        low: of its 95 % interval.
        high: likewise.
        p: that a cue without an effect shows at least this one (one-sided).
        q: the expected share of false discoveries among all with at most this q.
    """

    mean: Floats
    rest: Floats
    effect: Floats
    low: Floats
    high: Floats
    p: Floats
    q: Floats


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Design:
    """Which tokens belong to which cue, question and rest; shared by every quantity.

    Attributes:
        cues: how many.
        questions: how many.
        question_of: of shape (texts,).
        base: of shape (texts,): place of a text's first token in the columns.
        sentences: of all texts.
        occurrences: of all cues.
    """

    cues: int
    questions: int
    question_of: Ints
    base: Ints
    sentences: Sentences
    occurrences: Occurrences


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Sums:
    """Of shape (cues, questions) each: sums and numbers of tokens, after the cue and of the rest."""

    after: Floats
    after_n: Floats
    rest: Floats
    rest_n: Floats


def effects(design: Design, values: Column, *, seed: int, replicates: int = REPLICATES) -> Effects:
    """The effects of all cues on one quantity.

    Args:
        design: which tokens count.
        values: of shape (tokens,): the quantity.
        seed: of the draws.
        replicates: how many draws.

    Raises:
        MissingExtraError: scipy is not installed.
    """
    total = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    sums = _sums(design, total)
    after_n, rest_n = sums.after_n.sum(1), sums.rest_n.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean, rest = sums.after.sum(1) / after_n, sums.rest.sum(1) / rest_n
        error = _error(sums, mean, rest)
        low, high = _interval(sums, seed, replicates)
        p = _p_values(mean - rest, error, np.count_nonzero(sums.after_n, axis=1))
    return Effects(mean=mean, rest=rest, effect=mean - rest, low=low, high=high, p=p, q=q_values(p))


def rest_of_all(design: Design, values: Column) -> Floats:
    """Of shape (cues,): the mean of *all* other tokens of the trajectories that hold the cue.

    Source: the paper's script compares with this.
    """
    total = np.concatenate(([0.0], np.cumsum(values, dtype=np.float64)))
    sums = _sums(design, total, whole=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = sums.rest.sum(1) / sums.rest_n.sum(1)
    return found


def q_values(p: Floats) -> Floats:
    """Benjamini and Hochberg's: the smallest rate of false discoveries at which each is one."""
    order = np.argsort(p)
    steps = p[order] * len(p) / np.arange(1, len(p) + 1)
    found = np.empty_like(p)
    found[order] = np.minimum(1.0, np.minimum.accumulate(steps[::-1])[::-1])
    return found


def _sums(design: Design, total: Floats, *, whole: bool = False) -> _Sums:
    found, sentences = design.occurrences, design.sentences
    base = design.base[found.text]
    start, stop = base + found.start, base + found.stop
    shape = (design.cues, len(design.base))
    cell = found.cue * shape[1] + found.text

    def by_text(values: npt.NDArray[np.number]) -> Floats:
        summed = np.bincount(cell, weights=values, minlength=shape[0] * shape[1])
        return summed.astype(np.float64).reshape(shape)

    place = _places(design) if not whole else np.zeros(design.cues, dtype=np.int64)
    own_base = design.base[sentences.text[found.sentence]]
    from_place = own_base + sentences.start[found.sentence] + place[found.cue]
    counted = np.minimum(np.maximum(start, from_place), stop)
    after, after_n = by_text(total[stop] - total[start]), by_text(stop - start)
    own, own_n = by_text(total[stop] - total[counted]), by_text(stop - counted)
    rest, rest_n = _by_place(design, total, place)
    holds = after_n > 0
    return _Sums(
        after=_by_question(design, after),
        after_n=_by_question(design, after_n),
        rest=_by_question(design, np.where(holds, rest - own, 0.0)),
        rest_n=_by_question(design, np.where(holds, rest_n - own_n, 0.0)),
    )


def _places(design: Design) -> Ints:
    """Of shape (cues,): after how many tokens of its sentence a cue usually hands over."""
    found = design.occurrences
    skipped = found.start - design.sentences.start[found.sentence]
    place = np.zeros(design.cues, dtype=np.int64)
    order = np.argsort(found.cue, kind="stable")
    bounds = np.searchsorted(found.cue[order], np.arange(design.cues + 1))
    for cue in range(design.cues):
        some = skipped[order[bounds[cue] : bounds[cue + 1]]]
        if len(some):
            place[cue] = min(_DEEPEST, int(np.median(some)))
    return place


def _by_place(design: Design, total: Floats, place: Ints) -> tuple[Floats, Floats]:
    """Of shape (cues, texts): sums and numbers of all tokens from the cue's place on."""
    sentences = design.sentences
    base = design.base[sentences.text]
    texts = len(design.base)
    sums = np.zeros((len(place), texts))
    counts = np.zeros((len(place), texts))
    for depth in np.unique(place):
        stop = base + sentences.stop
        start = np.minimum(base + sentences.start + depth, stop)
        rows = place == depth
        sums[rows] = np.bincount(
            sentences.text, weights=total[stop] - total[start], minlength=texts
        )
        counts[rows] = np.bincount(sentences.text, weights=stop - start, minlength=texts)
    return sums, counts


def _by_question(design: Design, values: Floats) -> Floats:
    """From (cues, texts) to (cues, questions)."""
    order = np.argsort(design.question_of, kind="stable")
    bounds = np.searchsorted(design.question_of[order], np.arange(design.questions))
    return np.add.reduceat(values[:, order], bounds, axis=1)


def _error(sums: _Sums, mean: Floats, rest: Floats) -> Floats:
    """The standard error of each effect, with questions as clusters (linearised)."""
    pull = (sums.after - mean[:, None] * sums.after_n) / sums.after_n.sum(1, keepdims=True)
    pull -= (sums.rest - rest[:, None] * sums.rest_n) / sums.rest_n.sum(1, keepdims=True)
    clusters = np.count_nonzero(sums.after_n, axis=1)
    found: Floats = np.sqrt((pull**2).sum(1) * clusters / np.maximum(clusters - 1, 1))
    return found


def _interval(sums: _Sums, seed: int, replicates: int) -> tuple[Floats, Floats]:
    """The 95 % percentile interval over draws of questions with replacement."""
    cues, questions = sums.after.shape
    rng = np.random.default_rng(seed)
    drawn = np.empty((replicates, cues), dtype=np.float32)
    for first in range(0, replicates, _CHUNK):
        size = min(_CHUNK, replicates - first)
        weights = rng.multinomial(questions, np.full(questions, 1 / questions), size=size)
        w = weights.astype(np.float64)
        drawn[first : first + size] = (w @ sums.after.T) / (w @ sums.after_n.T) - (
            w @ sums.rest.T
        ) / (w @ sums.rest_n.T)
    drawn.sort(axis=0)  # what is NaN (a draw without the cue) goes to the end
    valid = np.count_nonzero(~np.isnan(drawn), axis=0)
    rows = np.arange(cues)
    low = drawn[(0.025 * np.maximum(valid - 1, 0)).astype(int), rows]
    high = drawn[np.ceil(0.975 * np.maximum(valid - 1, 0)).astype(int), rows]
    return low.astype(np.float64), high.astype(np.float64)


def _p_values(effect: Floats, error: Floats, clusters: Ints) -> Floats:
    try:
        from scipy.special import stdtr
    except ModuleNotFoundError as error_:
        raise MissingExtraError(
            "profiling needs scipy: pip install 'relaygen[profile]'"
        ) from error_
    # Where all tokens are alike, rounding is all that there is.
    spread = error > _ROUNDING
    alike = np.where(effect > _ROUNDING, np.inf, 0.0)
    score = np.where(spread, effect / np.where(spread, error, 1.0), alike)
    p: Floats = stdtr(np.maximum(clusters - 1, 1), -score)
    return np.where((clusters < 2) | np.isnan(effect), 1.0, p)
