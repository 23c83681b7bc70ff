"""How much can be handed over, and what it costs: a set of cues for every utilisation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from relaygen.profiling.analysis import Analysis
from relaygen.profiling.trajectories import Bools, Floats, Ints


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """A set of cues: this one and all of the points before it.

    Attributes:
        cue: number of the cue that was added; None at the start, with no cue.
        utilisation: share of all tokens that the large model writes.
        lost: expected share of all tokens that the small model would write otherwise, in reasoning.
        agreement: expected share of the handed-over tokens of reasoning that stay the same.
    """

    cue: int | None
    utilisation: float
    lost: float
    agreement: float


def frontier(analysis: Analysis, cues: Iterable[int]) -> list[Point]:
    """Adds cues one at a time, always the one that loses least per token saved.

    What is lost is measured by agreement with the small model where it was asked, else by the large
    model's own doubt (1 - margin). Cues that add nothing to those before are left out. The relay's
    rule against loops is not counted, nor what a changed sentence changes after it.

    Args:
        analysis: of a pair.
        cues: numbers of the cues to choose from.
    """
    left = sorted(set(cues))
    pieces = _Pieces(analysis, left)
    loss = 1.0 - (analysis.margin if analysis.agrees is None else analysis.agrees)
    total = np.concatenate(([0.0], np.cumsum(loss)))
    lost_in = total[pieces.bounds[1:]] - total[pieces.bounds[:-1]]
    size = np.diff(pieces.bounds).astype(np.float64)
    free = np.ones(len(size))
    saved = lost = 0.0
    points = [_point(analysis, None, saved, lost)]
    while left:
        new, new_lost = pieces.sums(size * free), pieces.sums(lost_in * free)
        left = [cue for cue in left if new[cue] > 0]
        if not left:
            break
        best = min(left, key=lambda cue: (new_lost[cue] / new[cue], -new[cue]))
        saved, lost = saved + new[best], lost + new_lost[best]
        free[pieces.of(best)] = 0.0
        left.remove(best)
        points.append(_point(analysis, best, saved, lost))
    return points


def chosen_for(points: list[Point], utilisation: float) -> list[int]:
    """The cues of the first point at or below this utilisation; all where none is."""
    taken: list[int] = []
    for point in points:
        if point.cue is not None:
            taken.append(point.cue)
        if point.utilisation <= utilisation:
            break
    return taken


def of_set(analysis: Analysis, cues: Iterable[int]) -> Point:
    """What these cues do together; `Point.cue` is None."""
    points = frontier(analysis, cues)
    last = points[-1]
    return Point(cue=None, utilisation=last.utilisation, lost=last.lost, agreement=last.agreement)


class _Pieces:
    """The tokens cut where segments begin and end: each piece is in a segment whole, or not."""

    def __init__(self, analysis: Analysis, cues: list[int]) -> None:
        found = analysis.design.occurrences
        found = found.only(np.isin(found.cue, cues))
        base = analysis.design.base[found.text]
        start, stop = base + found.start, base + found.stop
        self.bounds: Ints = np.unique(np.concatenate((start, stop, [0])))
        self._cue = found.cue
        self._first = np.searchsorted(self.bounds, start)
        self._last = np.searchsorted(self.bounds, stop)
        self._cues = analysis.design.cues

    def sums(self, weights: Floats) -> Floats:
        """Of shape (cues,): what the pieces of each cue weigh."""
        total = np.concatenate(([0.0], np.cumsum(weights)))
        each = total[self._last] - total[self._first]
        summed = np.bincount(self._cue, weights=each, minlength=self._cues).astype(np.float64)
        summed[np.abs(summed) < 1e-6] = 0.0  # what the cumulative sum leaves of nothing
        return summed

    def of(self, cue: int) -> Bools:
        """Which pieces are in the segments of a cue."""
        steps = np.zeros(len(self.bounds), dtype=np.int64)
        own = self._cue == cue
        np.add.at(steps, self._first[own], 1)
        np.add.at(steps, self._last[own], -1)
        return np.cumsum(steps)[:-1] > 0


def _point(analysis: Analysis, cue: int | None, saved: float, lost: float) -> Point:
    return Point(
        cue=cue,
        utilisation=1.0 - float(saved + analysis.answer_tokens) / analysis.tokens,
        lost=float(lost) / analysis.tokens,
        agreement=1.0 - float(lost / saved) if saved else 1.0,
    )
