from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from relaygen.profiling.analysis import AnalysisOptions
from relaygen.profiling.frontier import frontier
from relaygen.profiling.plots import frontier_plot, margin_along
from relaygen.relay.cues import SwitchCue

from .test_analysis import world


def test_a_sentence_is_one_stretch_whatever_cues_open_it() -> None:
    cues = (SwitchCue(text="So"), SwitchCue(text="So,"))
    analysis = world(questions=12, options=AnalysisOptions(given=cues, discover=False))
    alone, both = (margin_along(analysis, taken).axes[0] for taken in ([0], [0, 1]))
    assert len(alone.patches) == len(both.patches) > 0
    assert {text.get_text() for text in both.texts} == {"So"}  # the first that hands over


def test_names_on_the_frontier_stand_apart() -> None:
    analysis = world(questions=12)
    points = frontier(analysis, range(len(analysis.statistics)))
    crowded = [replace(p, utilisation=p.utilisation - k / 1000) for p in points for k in range(10)]
    figure = frontier_plot(analysis, crowded, {"all": points[-1]})
    places = sorted(text.xy[0] for text in figure.axes[0].texts)  # type: ignore[attr-defined]
    assert len(places) > 1
    assert all(b - a > 0.01 for a, b in pairwise(places))
