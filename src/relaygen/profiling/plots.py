"""The pictures of a profile's report (matplotlib, extra ``profile``)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from itertools import pairwise
from typing import Any, Final

import numpy as np
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from relaygen.profiling.analysis import Analysis
from relaygen.profiling.frontier import Point
from relaygen.profiling.trajectories import Floats, Ints
from relaygen.views.printable import one_line

_LARGE: Final = "#3470c4"
_SMALL: Final = "#dd8a1c"
_SOFT: Final = "#8a8f98"
_WINDOW: Final = 9
_MOST_ROWS: Final = 28
_MOST_NAMED: Final = 8
_LONGEST: Final = 900
"""Tokens of a trajectory that are drawn."""

_STYLE: Final[dict[str, Any]] = {
    "text.parse_math": False,  # text of models is no formula
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "figure.dpi": 120,
}


def styled() -> AbstractContextManager[None]:
    """The look of all pictures: draw and save them inside."""
    return rc_context(_STYLE)


def png_of(figure: Figure) -> bytes:
    """A figure as a PNG file."""
    from io import BytesIO

    file = BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    return file.getvalue()


def margin_along(analysis: Analysis, taken: Sequence[int]) -> Figure:
    """The margin along one trajectory, with the segments that would be handed over."""
    design = analysis.design
    found = design.occurrences.only(np.isin(design.occurrences.cue, taken))
    index = _typical(analysis, found.text)
    size = min(len(analysis.texts[index]), _LONGEST)
    margin = analysis.margin[design.base[index] : design.base[index] + size]
    figure, axes = _figure(9.0, 3.0)
    axes.plot(margin, ".", color=_SOFT, markersize=1.6, label="a token")
    axes.plot(_smooth(margin), color=_LARGE, linewidth=1.2, label=f"mean of {_WINDOW} tokens")
    shown, named = set[int](), -size
    for i in sorted(np.flatnonzero(found.text == index), key=lambda i: found.start[i]):
        start, stop = int(found.start[i]), int(found.stop[i])
        if start >= size or int(found.sentence[i]) in shown:  # a longer cue of the same sentence
            continue
        label = None if shown else "handed over"
        shown.add(int(found.sentence[i]))
        axes.axvspan(start, min(stop, size), color=_SMALL, alpha=0.25, linewidth=0, label=label)
        if start - named > 0.015 * size:
            named = start
            text = _label(analysis, int(found.cue[i]))
            axes.text(start, 1.03, text, rotation=60, fontsize=6.5, color="#874000")
    axes.set(xlabel="token of the reasoning", ylabel="margin", ylim=(-0.02, 1.02), xlim=(0, size))
    axes.set_title("Margin along one trajectory", pad=46)
    figure.legend(loc="outside lower center", ncols=3, fontsize=7, frameon=False)
    return figure


def distributions(analysis: Analysis, taken: Sequence[int]) -> Figure:
    """How unsure the large model is after each cue, a segment a value, against all sentences."""
    found, base = analysis.design.occurrences, analysis.design.base
    doubt = 1.0 - analysis.margin
    numbers = _largest(analysis, taken, 14)
    rows = [
        _means(doubt, base[found.text] + found.start, base[found.text] + found.stop, found.cue == n)
        for n in numbers
    ]
    sentences = analysis.design.sentences
    skipped = np.minimum(sentences.start + 1, sentences.stop)
    rest = _means(
        doubt,
        base[sentences.text] + skipped,
        base[sentences.text] + sentences.stop,
        ~np.isin(np.arange(len(sentences.text)), found.sentence[np.isin(found.cue, taken)]),
    )
    figure, axes = _figure(8.0, 1.4 + 0.3 * (len(rows) + 1))
    labels = [*(_label(analysis, n) for n in numbers), "sentences of no cue"]
    boxes = axes.boxplot(
        [np.maximum(values, 1e-5) for values in (*rows, rest)][::-1],
        orientation="horizontal",
        tick_labels=labels[::-1],
        patch_artist=True,
        widths=0.6,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": _SOFT},
        medianprops={"color": "#1e2126"},
    )
    for place, box in enumerate(boxes["boxes"]):
        box.set(facecolor=_LARGE if place == 0 else _SMALL, alpha=0.55)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")
    axes.set(xlabel="mean of 1 - margin in a segment (left: surer)")
    axes.set_title("After each cue, against the sentences of no cue")
    return figure


def forest(analysis: Analysis, taken: Sequence[int]) -> Figure:
    """Effects with their intervals: cues taken, then the most frequent candidates that were not."""
    others = [n for n in range(len(analysis.statistics)) if n not in set(taken)]
    first = _largest(analysis, taken, _MOST_ROWS // 2)
    numbers = [*first, *_largest(analysis, others, _MOST_ROWS - len(first))]
    numbers.sort(key=lambda n: analysis.statistics[n].margin.effect)
    figure, axes = _figure(8.0, 1.4 + 0.22 * len(numbers))
    for place, number in enumerate(numbers):
        margin = analysis.statistics[number].margin
        colour = _SMALL if number in taken else _SOFT
        axes.plot([margin.low, margin.high], [place, place], color=colour, linewidth=1.4)
        axes.plot(margin.effect, place, "o", color=colour, markersize=4)
    axes.axvline(0.0, color="#1e2126", linewidth=0.8)
    axes.set_yticks(range(len(numbers)), [_label(analysis, n) for n in numbers], fontsize=8)
    axes.set(
        xlabel="margin after the cue minus the rest, with 95 % intervals", ylim=(-1, len(numbers))
    )
    axes.plot([], [], "o", color=_SMALL, markersize=4, label="taken")
    axes.plot([], [], "o", color=_SOFT, markersize=4, label="not taken")
    axes.legend(loc="lower right", fontsize=7)
    axes.set_title("Effect on the margin")
    return figure


def frontier_plot(analysis: Analysis, points: Sequence[Point], sets: dict[str, Point]) -> Figure:
    """What every utilisation costs, and where the rules are."""
    figure, axes = _figure(7.0, 3.8)
    x = [point.utilisation for point in points]
    axes.step(x, [1 - point.lost for point in points], "-", where="post", color=_LARGE, linewidth=1)
    axes.plot(x, [1 - point.lost for point in points], ".", color=_LARGE, markersize=4)
    for name, mark, place in zip(sets, ("o", "s", "^", "D"), sets.values(), strict=False):
        label = f"{name}: {place.utilisation:.0%}, {1 - place.lost:.2%}"
        axes.plot(
            place.utilisation,
            1 - place.lost,
            mark,
            color=_SMALL,
            markeredgecolor="#1e2126",
            label=label,
        )
    for point in _named(points):
        assert point.cue is not None
        axes.annotate(
            _label(analysis, point.cue),
            (point.utilisation, 1 - point.lost),
            xytext=(2, 4),
            textcoords="offset points",
            rotation=30,
            fontsize=6.5,
            color=_SOFT,
        )
    measure = (
        "tokens that stay the same" if analysis.agrees is not None else "1 - doubt handed over"
    )
    axes.set(xlabel="utilisation: share of tokens that the large model writes", ylabel=measure)
    axes.invert_xaxis()
    axes.xaxis.set_major_formatter("{x:.0%}")
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(loc="lower left", fontsize=7)
    axes.set_title("Frontier of utilisation against expected agreement", pad=24)
    return figure


def _named(points: Sequence[Point]) -> list[Point]:
    """Those whose cue saves most, as far as their names do not run into each other."""
    steps = [(a.utilisation - b.utilisation, b) for a, b in pairwise(points) if b.cue is not None]
    apart = 0.05 * sum(step for step, _ in steps)
    named: list[Point] = []
    for _, point in sorted(steps, key=lambda step: -step[0]):
        if all(abs(point.utilisation - other.utilisation) > apart for other in named):
            named.append(point)
    return named[:_MOST_NAMED]


def segment_lengths(analysis: Analysis, taken: Sequence[int]) -> Figure:
    """How many tokens are handed over at a time."""
    found = analysis.design.occurrences
    numbers = _largest(analysis, taken, 14)
    length = found.stop - found.start
    figure, axes = _figure(8.0, 1.4 + 0.3 * max(1, len(numbers)))
    rows = [length[found.cue == number] for number in numbers] or [np.zeros(1)]
    labels = [_label(analysis, number) for number in numbers] or ["no cue"]
    boxes = axes.boxplot(
        rows[::-1],
        orientation="horizontal",
        tick_labels=labels[::-1],
        patch_artist=True,
        widths=0.6,
        flierprops={"marker": ".", "markersize": 2, "markeredgecolor": _SOFT},
        medianprops={"color": "#1e2126"},
    )
    for box in boxes["boxes"]:
        box.set(facecolor=_SMALL, alpha=0.55)
    axes.set(xlabel="tokens of a segment", xlim=(0, None))
    axes.set_title("Lengths of the segments that are handed over")
    return figure


def _figure(width: float, height: float) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot()


def _label(analysis: Analysis, number: int) -> str:
    return one_line(analysis.statistics[number].cue.text)


def _largest(analysis: Analysis, numbers: Sequence[int], most: int) -> list[int]:
    return sorted(numbers, key=lambda n: -analysis.statistics[n].tokens)[:most]


def _typical(analysis: Analysis, texts: Ints) -> int:
    """The trajectory with the median number of segments handed over; of those the first."""
    counts = np.bincount(texts, minlength=len(analysis.texts))
    order = np.argsort(counts, kind="stable")
    wanted = counts[order[len(order) // 2]]
    return int(np.flatnonzero(counts == wanted)[0])


def _smooth(values: Floats) -> Floats:
    if len(values) < _WINDOW:
        return values
    total = np.concatenate(([0.0], np.cumsum(values)))
    half = _WINDOW // 2
    start = np.maximum(np.arange(len(values)) - half, 0)
    stop = np.minimum(np.arange(len(values)) + half + 1, len(values))
    smoothed: Floats = (total[stop] - total[start]) / (stop - start)
    return smoothed


def _means(values: Floats, start: Ints, stop: Ints, wanted: Any) -> Floats:
    total = np.concatenate(([0.0], np.cumsum(values)))
    start, stop = start[wanted], stop[wanted]
    some = stop > start
    means: Floats = (total[stop[some]] - total[start[some]]) / (stop[some] - start[some])
    return means if len(means) else np.zeros(1)
