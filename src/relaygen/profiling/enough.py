"""Whether there is enough data, and about how much more is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

from relaygen.profiling.analysis import Analysis, CueStatistics
from relaygen.profiling.selection import Rule, RuleName, Verdict, taken

FEW_QUESTIONS = 100
"""Below this there are more false discoveries than was asked for: the unit of the tests is the question.

Measured on the embedded pair with shuffled labels: 12 % of runs with 20 questions, 6.5 % with 100, 4.5 %
with 400, where 5 % were asked for (docs/LOG.md)."""

_POWER = 0.8


def shortages(analysis: Analysis, verdicts: Sequence[Verdict], rule: Rule) -> list[str]:
    """Warnings, each with about how many more questions it takes; none where there is enough."""
    found = []
    questions = analysis.design.questions
    if questions < FEW_QUESTIONS:
        found.append(
            f"{counted(questions, 'question')} {_are(questions)} few: error rates hold from "
            f"about {FEW_QUESTIONS} on; take {FEW_QUESTIONS - questions} more"
        )
    rare = [s for s in analysis.statistics if s.count < rule.min_count]
    rare += [s for s in analysis.statistics if s not in rare and s.questions < rule.min_questions]
    if rare:
        most = max(max(rule.min_count / s.count, rule.min_questions / s.questions) for s in rare)
        found.append(
            f"{counted(len(rare), 'candidate')} {_are(len(rare))} too rare to be judged "
            f"({_names(rare)}): about {math.ceil(questions * (most - 1))} more questions would show "
            "all of them often enough"
        )
    if rule.name is RuleName.PAPER:
        return found
    chosen = set(taken(verdicts))
    open_ = [
        (s, needed)
        for number, s in enumerate(analysis.statistics)
        if number not in chosen and s not in rare
        if (needed := _needed(s, questions, rule, len(analysis.statistics))) is not None
    ]
    if open_:
        least = min(needed for _, needed in open_)
        found.append(
            f"{counted(len(open_), 'candidate')} may be better than the rest, but not beyond chance "
            f"({_names([s for s, _ in open_])}): about {least} more questions would settle the first "
            "of them, if its effect is what it seems"
        )
    return found


def counted(number: int, noun: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def _are(number: int) -> str:
    return "is" if number == 1 else "are"


def _needed(found: CueStatistics, questions: int, rule: Rule, candidates: int) -> int | None:
    """More questions for the effect on the margin to be found; None if there is none to be found."""
    margin = found.margin
    if margin.q <= rule.fdr or margin.effect <= 0 or margin.p >= 0.5:
        return None
    normal = NormalDist()
    score = normal.inv_cdf(1 - margin.p)
    wanted = normal.inv_cdf(1 - rule.fdr / candidates) + normal.inv_cdf(_POWER)
    factor = (wanted / score) ** 2
    # An effect that would take a hundred times the data is none that anybody waits for.
    return math.ceil(questions * (factor - 1)) if 1 < factor < 100 else None


def _names(found: Sequence[CueStatistics]) -> str:
    shown = ", ".join(repr(s.cue.text) for s in found[:3])
    return f"{shown}, ..." if len(found) > 3 else shown
