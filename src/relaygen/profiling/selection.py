"""Which candidates become cues: a stated rule, and why each one was taken or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from relaygen.errors import InvalidRequestError
from relaygen.profiling.analysis import Analysis, CueStatistics
from relaygen.profiling.frontier import chosen_for, frontier

_NEARLY_ALL = 0.9

PAPER_MIN_COUNT = 5
"""Source: the default of the paper's report script."""


class RuleName(StrEnum):
    """The rules."""

    TESTED = "tested"
    """Margin, and agreement where it is known, are above the rest beyond chance."""
    PAPER = "paper"
    """The mean margin is above the mean of all other tokens, and nothing is tested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """A rule with its thresholds.

    Attributes:
        name: which rule.
        fdr: expected share of false discoveries among the cues taken (`RuleName.TESTED`).
        min_count: fewest segments.
        min_questions: fewest distinct questions.
        min_effect: smallest effect on the margin.
        min_agreement: smallest agreement after the cue.
    """

    name: RuleName = RuleName.TESTED
    fdr: float = 0.05
    min_count: int = 10
    min_questions: int = 5
    min_effect: float = 0.0
    min_agreement: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 < self.fdr < 1.0:
            raise InvalidRequestError(f"fdr is {self.fdr}; it must be between 0 and 1", param="fdr")
        if not 0.0 <= self.min_agreement <= 1.0:
            raise InvalidRequestError(
                f"min_agreement is {self.min_agreement}; it must be between 0 and 1",
                param="min_agreement",
            )
        if self.min_count < 1 or self.min_questions < 2:
            raise InvalidRequestError(
                f"min_count is {self.min_count} and min_questions {self.min_questions}; at least 1 "
                "and 2 are needed",
                param="min_count",
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """On one candidate.

    Attributes:
        cue: its number.
        taken: whether it becomes a cue.
        why: in words.
    """

    cue: int
    taken: bool
    why: str


def select(analysis: Analysis, rule: Rule) -> list[Verdict]:
    """Judges every candidate, in the order of the analysis."""
    if rule.name is RuleName.PAPER:
        return [_by_paper(i, s) for i, s in enumerate(analysis.statistics)]
    verdicts = [_by_test(i, s, rule) for i, s in enumerate(analysis.statistics)]
    return _without_nested(analysis, verdicts, rule)


def select_for(analysis: Analysis, rule: Rule, utilisation: float) -> list[Verdict]:
    """Takes cues along the frontier until the large model writes no more than this share.

    Candidates with enough data may be taken whether or not their effect is beyond chance; `why` says
    which is the case.

    Raises:
        InvalidRequestError: the utilisation is no share.
    """
    check_target(utilisation)
    tested = [_by_test(i, s, rule) for i, s in enumerate(analysis.statistics)]
    enough = [i for i, s in enumerate(analysis.statistics) if not _too_few(s, rule)]
    taken = chosen_for(frontier(analysis, enough), utilisation)
    verdicts = []
    for verdict in tested:
        if verdict.cue in taken:
            place = taken.index(verdict.cue) + 1
            why = f"number {place} on the frontier for utilisation {utilisation:g}; {verdict.why}"
            verdicts.append(Verdict(cue=verdict.cue, taken=True, why=why))
        else:
            why = _too_few(analysis.statistics[verdict.cue], rule) or "not needed for the target"
            verdicts.append(Verdict(cue=verdict.cue, taken=False, why=why))
    return verdicts


def check_target(utilisation: float) -> None:
    """Refuses a target that no set of cues can have.

    Raises:
        InvalidRequestError: it is no share.
    """
    if not 0.0 < utilisation <= 1.0:
        raise InvalidRequestError(
            f"the target utilisation is {utilisation}; it must be above 0, and at most 1",
            param="target_utilisation",
        )


def beyond_chance(found: CueStatistics, rule: Rule) -> bool:
    """Whether the tested rule would take this candidate, nested ones apart."""
    return _by_test(0, found, rule).taken


def forced(analysis: Analysis, rule: Rule) -> list[Verdict]:
    """Takes what has enough data and looks better than the rest, by chance or not."""
    verdicts = []
    for cue, found in enumerate(analysis.statistics):
        agreement = found.agreement
        better = found.margin.effect > 0 and (agreement is None or agreement.effect > 0)
        problem = _too_few(found, rule) or (None if better else "it is not better than the rest")
        why = problem or f"by force: {_by_test(cue, found, rule).why}"
        verdicts.append(Verdict(cue=cue, taken=problem is None, why=why))
    return _without_nested(analysis, verdicts, rule)


def taken(verdicts: Sequence[Verdict]) -> list[int]:
    """The numbers of the cues that were taken."""
    return [verdict.cue for verdict in verdicts if verdict.taken]


def _by_paper(cue: int, found: CueStatistics) -> Verdict:
    if found.count < PAPER_MIN_COUNT:
        why = f"{found.count} segments; the paper's script reports from {PAPER_MIN_COUNT} on"
        return Verdict(cue=cue, taken=False, why=why)
    mean, rest = found.margin.mean, found.all_rest
    why = f"mean margin {mean:.4f}, all other tokens {rest:.4f}"
    return Verdict(cue=cue, taken=mean > rest, why=why)


def _by_test(cue: int, found: CueStatistics, rule: Rule) -> Verdict:
    margin, agreement = found.margin, found.agreement
    problem = _too_few(found, rule)
    if problem is None and (margin.q > rule.fdr or margin.effect <= 0.0):
        problem = f"margin {margin.effect:+.4f} against the rest is not beyond chance (q = {margin.q:.2g})"
    if problem is None and margin.effect < rule.min_effect:
        problem = f"margin only {margin.effect:+.4f} against the rest (asked: {rule.min_effect:g})"
    if problem is None and agreement is not None:
        if agreement.q > rule.fdr or agreement.effect <= 0.0:
            problem = (
                f"agreement {agreement.effect:+.4f} against the rest is not beyond chance "
                f"(q = {agreement.q:.2g})"
            )
        elif agreement.mean < rule.min_agreement:
            problem = f"agreement only {agreement.mean:.3f} (asked: {rule.min_agreement:g})"
    if problem is not None:
        return Verdict(cue=cue, taken=False, why=problem)
    why = f"margin {margin.effect:+.4f} against the rest (q = {margin.q:.2g})"
    if agreement is not None:
        why += f", agreement {agreement.effect:+.4f} (q = {agreement.q:.2g})"
    return Verdict(cue=cue, taken=True, why=why)


def _too_few(found: CueStatistics, rule: Rule) -> str | None:
    if found.count >= rule.min_count and found.questions >= rule.min_questions:
        return None
    return (
        f"{found.count} segments of {found.questions} questions (needed: {rule.min_count} of "
        f"{rule.min_questions})"
    )


def _without_nested(analysis: Analysis, verdicts: Sequence[Verdict], rule: Rule) -> list[Verdict]:
    """Of "So" and "So, we" one is enough: the shorter, if what only it hands over is good as well.

    Where a comma nearly always follows, the cue with the comma is the exact one, and stands for both.
    """
    by_text = {analysis.statistics[v.cue].cue.visible: v for v in verdicts}
    passed = sorted((t for t, v in by_text.items() if v.taken), key=lambda t: (len(t), t))
    final = {verdict.cue: verdict for verdict in verdicts}
    for text in passed:
        exact = by_text.get(f"{text},")
        if (
            exact is not None
            and exact.taken
            and _nearly_all(analysis, exact.cue, by_text[text].cue)
        ):
            why = f"{text + ','!r} is nearly all of it, and more exact"
            final[by_text[text].cue] = Verdict(cue=by_text[text].cue, taken=False, why=why)
    for text in passed:
        own = final[by_text[text].cue]
        longer = [by_text[t].cue for t in passed if t != text and t.startswith(text)]
        if own.taken and longer and not _good_without(analysis, own.cue, longer, rule):
            why = "only the longer cues that it begins are better than the rest"
            final[own.cue] = Verdict(cue=own.cue, taken=False, why=why)
        elif own.taken:
            for cue in longer:
                why = f"{text!r} hands over there already"
                final[cue] = Verdict(cue=cue, taken=False, why=why)
    return [final[verdict.cue] for verdict in verdicts]


def _nearly_all(analysis: Analysis, longer: int, shorter: int) -> bool:
    counts = (analysis.statistics[longer].count, analysis.statistics[shorter].count)
    return counts[0] >= _NEARLY_ALL * counts[1]


def _good_without(analysis: Analysis, cue: int, longer: Sequence[int], rule: Rule) -> bool:
    """Whether the segments of a cue that no longer one opens are above the rest too.

    Too few of them say nothing against it.
    """
    design, found = analysis.design, analysis.design.occurrences
    statistics = analysis.statistics[cue]
    elsewhere = found.sentence[np.isin(found.cue, longer)]
    own = found.only((found.cue == cue) & ~np.isin(found.sentence, elsewhere))
    base = design.base[own.text]
    size = float((own.stop - own.start).sum())
    if len(own.cue) < rule.min_count:
        return True

    def mean(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> float:
        total = np.concatenate(([0.0], np.cumsum(values)))
        return float((total[base + own.stop] - total[base + own.start]).sum()) / size

    if mean(analysis.margin) <= statistics.margin.rest:
        return False
    agreement = statistics.agreement
    return analysis.agrees is None or agreement is None or mean(analysis.agrees) > agreement.rest
