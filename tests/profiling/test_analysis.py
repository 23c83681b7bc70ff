from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from relaygen.profiling.analysis import Analysis, AnalysisOptions, analyse
from relaygen.profiling.effects import q_values
from relaygen.profiling.frontier import chosen_for, frontier
from relaygen.profiling.selection import Rule, RuleName, select, select_for, taken
from relaygen.profiling.trajectories import Trajectories
from relaygen.relay.cues import SwitchCue

from .made import made, story

OPENERS = ("So,", "Wait,", "The number", "Now, a")


def world(
    good: tuple[str, ...] = ("So,",),
    *,
    questions: int = 30,
    seed: int = 0,
    small: bool = True,
    options: AnalysisOptions | None = None,
    repeats: int = 1,
) -> Analysis:
    """Sentences of which those with a good opener have surer tokens after it."""
    rng = np.random.default_rng(seed)
    texts = [(f"q{i}", story(rng)) for i in range(questions)] * repeats
    trajectories, words = made(
        texts,
        lambda sentence, place, r: (
            (0.3 if place < 1 else 0.9 if sentence.strip().startswith(good) else 0.8)
            + r.uniform(-0.1, 0.1)
        ),
        (lambda s, place, r: r.random() < (0.95 if s.strip().startswith(good) else 0.6))
        if small
        else None,
        answer=5,
        seed=seed,
    )
    return analyse(trajectories, words, options or AnalysisOptions())


def names(analysis: Analysis, cues: list[int]) -> set[str]:
    return {analysis.statistics[cue].cue.text for cue in cues}


def test_the_planted_cue_is_found_and_no_other() -> None:
    analysis = world()
    found = select(analysis, Rule())
    assert names(analysis, taken(found)) == {"So,"}
    by_text = {s.cue.text: s for s in analysis.statistics}
    so = by_text["So,"]
    assert so.margin.effect == pytest.approx(0.1, abs=0.02)
    assert so.margin.low < 0.1 < so.margin.high
    assert so.agreement is not None
    assert so.agreement.mean == pytest.approx(0.95, abs=0.03)
    assert so.tokens == pytest.approx(so.length * so.count)
    assert "beyond chance" in next(
        v.why for v in found if by_text["Wait,"].cue == analysis.statistics[v.cue].cue
    )


def test_effects_are_those_of_plain_loops() -> None:
    analysis = world(questions=6)
    design = analysis.design
    found, sentences = design.occurrences, design.sentences
    for number, statistics in enumerate(analysis.statistics):
        own = np.flatnonzero(found.cue == number)
        segments = [
            range(
                design.base[found.text[i]] + found.start[i],
                design.base[found.text[i]] + found.stop[i],
            )
            for i in own
        ]
        after = [t for segment in segments for t in segment]
        place = int(np.median([found.start[i] - sentences.start[found.sentence[i]] for i in own]))
        holding = set(found.text[own].tolist())
        rest = [
            design.base[text] + t
            for text, start, stop in zip(
                sentences.text, sentences.start, sentences.stop, strict=True
            )
            if text in holding
            for t in range(start + place, stop)
        ]
        rest = sorted(set(rest) - set(after))
        assert statistics.margin.mean == pytest.approx(analysis.margin[after].mean())
        assert statistics.margin.rest == pytest.approx(analysis.margin[rest].mean())
        everything = {
            design.base[text] + t for text in holding for t in range(len(analysis.texts[text]))
        }
        others = sorted(everything - set(after))
        assert statistics.all_rest == pytest.approx(analysis.margin[others].mean())


def test_copies_of_a_trajectory_are_no_new_evidence() -> None:
    rng = np.random.default_rng(3)
    texts = [(f"q{i}", story(rng)) for i in range(8)]
    trajectories, words = made(texts, lambda s, place, r: r.uniform())
    copies = Trajectories(
        records=trajectories.records * 10,
        columns={name: np.tile(column, 10) for name, column in trajectories.columns.items()},
    )
    options = AnalysisOptions(min_count=5)
    known = {s.cue.text: s.margin for s in analyse(trajectories, words, options).statistics}
    for found in analyse(copies, words, options).statistics:
        if found.cue.text in known:
            assert found.margin.p == pytest.approx(known[found.cue.text].p)
            assert found.margin.low == pytest.approx(known[found.cue.text].low)


def test_without_an_effect_p_values_are_spread_evenly() -> None:
    """Openers say nothing here, and their own tokens are hard to foretell as any sentence's are."""
    p = [s.margin.p for seed in range(20) for s in world((), seed=seed, small=False).statistics]
    assert len(p) >= 80
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.04)
    assert np.mean(np.array(p) < 0.5) == pytest.approx(0.5, abs=0.1)
    naive = [
        s.margin.mean > s.all_rest for seed in range(5) for s in world((), seed=seed).statistics
    ]
    assert np.mean(naive) > 0.9  # the paper's rule takes nearly all of them


def test_rules_side_by_side() -> None:
    analysis = world()
    paper = select(analysis, Rule(name=RuleName.PAPER))
    assert {"So,", "Wait,"} <= names(analysis, taken(paper))
    assert len(paper) == len(analysis.statistics)


def test_of_nested_cues_the_shorter_is_taken_only_where_all_of_it_is_good() -> None:
    def build(plain_is_good: bool) -> set[str]:
        rng = np.random.default_rng(1)
        kinds = [" So, we add {} to {} now.", " So it is {} or {} now.", " It is {} or {} then."]
        texts = [
            (f"q{i}", [kinds[rng.integers(3)].format(*rng.integers(9, size=2)) for _ in range(20)])
            for i in range(30)
        ]
        good = ("So",) if plain_is_good else ("So,",)
        trajectories, words = made(
            texts,
            lambda s, p, r: r.uniform(0.8, 1) if s.strip().startswith(good) else r.uniform(0.4, 1),
        )
        analysis = analyse(trajectories, words)
        return names(analysis, taken(select(analysis, Rule())))

    assert build(plain_is_good=True) == {"So"}
    assert build(plain_is_good=False) == {"So,"}


def test_where_a_comma_nearly_always_follows_the_cue_has_it() -> None:
    rng = np.random.default_rng(1)
    kinds = [" So, we add {} to {} now.", " It is {} or {} then."]
    texts = [
        (f"q{i}", [kinds[rng.integers(2)].format(*rng.integers(9, size=2)) for _ in range(20)])
        for i in range(30)
    ]
    texts[0][1].append(" So I see.")
    trajectories, words = made(
        texts,
        lambda s, p, r: r.uniform(0.8, 1) if s.strip().startswith("So") else r.uniform(0.4, 1),
    )
    analysis = analyse(trajectories, words)
    assert "So" in names(analysis, list(range(len(analysis.statistics))))
    assert names(analysis, taken(select(analysis, Rule()))) == {"So,"}


def test_thresholds_are_heeded() -> None:
    analysis = world()
    for rule in (Rule(min_effect=0.5), Rule(min_agreement=0.999), Rule(min_count=10_000)):
        assert taken(select(analysis, rule)) == []


def test_a_given_cue_that_never_occurs_is_reported() -> None:
    given = (SwitchCue(text="Thus"), SwitchCue(text="So,"))
    analysis = world(options=AnalysisOptions(given=given, discover=False))
    assert [s.cue.text for s in analysis.statistics] == ["So,"]
    assert [cue.text for cue in analysis.absent] == ["Thus"]


def test_frontier_saves_ever_more_at_a_growing_price() -> None:
    analysis = world()
    points = frontier(analysis, range(len(analysis.statistics)))
    assert points[0].utilisation == pytest.approx(1 - analysis.answer_tokens / analysis.tokens)
    first = points[1].cue
    assert first is not None
    assert analysis.statistics[first].cue.text.startswith("So,")
    for before, after in pairwise(points):
        assert after.utilisation < before.utilisation
        assert after.lost >= before.lost
    # Each token is counted once, though nested cues share it.
    design = analysis.design
    covered = set()
    for point in points[1:]:
        own = design.occurrences.only(design.occurrences.cue == point.cue)
        for text, start, stop in zip(own.text, own.start, own.stop, strict=True):
            covered |= {design.base[text] + t for t in range(start, stop)}
        large = analysis.reasoning_tokens - len(covered)
        assert point.utilisation == pytest.approx(large / analysis.tokens)
        assert analysis.agrees is not None
        lost = sum(1 - analysis.agrees[t] for t in covered)
        assert point.lost == pytest.approx(lost / analysis.tokens)


def test_a_target_takes_a_beginning_of_the_frontier() -> None:
    analysis = world()
    points = frontier(analysis, range(len(analysis.statistics)))
    middle = points[len(points) // 2]
    assert len(chosen_for(points, middle.utilisation)) == len(points) // 2
    verdicts = select_for(analysis, Rule(), middle.utilisation)
    assert len(taken(verdicts)) == len(points) // 2
    assert len(taken(select_for(analysis, Rule(), 0.01))) == len(points) - 1


def test_q_values_are_benjamini_and_hochbergs() -> None:
    found = q_values(np.array([0.01, 0.04, 0.03, 0.5]))
    assert found.tolist() == pytest.approx([0.04, 0.16 / 3, 0.16 / 3, 0.5])


def test_where_all_tokens_are_alike_nothing_is_found() -> None:
    rng = np.random.default_rng(2)
    trajectories, words = made([(f"q{i}", story(rng)) for i in range(12)], lambda s, p, r: 0.7)
    analysis = analyse(trajectories, words)
    assert min(s.margin.p for s in analysis.statistics) >= 0.5
    assert taken(select(analysis, Rule())) == []
