"""From an analysis and its verdicts to a `CueProfile`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from relaygen.errors import ProfilingError
from relaygen.profiling.analysis import Analysis, CueStatistics
from relaygen.profiling.frontier import of_set
from relaygen.profiling.selection import Rule, RuleName, Verdict, taken
from relaygen.relay.cues import SwitchCue
from relaygen.relay.profile import CueProfile
from relaygen.relay.provenance import Provenance


def make_profile(
    analysis: Analysis,
    verdicts: Sequence[Verdict],
    *,
    name: str,
    large_model: str,
    small_model: str,
    fingerprint: str | None,
    provenance: Provenance,
    notes: str = "",
) -> CueProfile:
    """The cues that were taken, with their statistics.

    A cue that begins another one waits for the next token, so that the longer one has its chance.

    Raises:
        ProfilingError: none was taken.
    """
    cues = [analysis.statistics[number].cue for number in taken(verdicts)]
    if not cues:
        raise ProfilingError("no candidate was taken, and a profile without cues is of no use")
    whys = {analysis.statistics[v.cue].cue.text: v.why for v in verdicts if v.taken}
    figures = {
        analysis.statistics[v.cue].cue.text: statistics_of(analysis.statistics[v.cue])
        for v in verdicts
        if v.taken
    }
    expected = of_set(analysis, taken(verdicts))
    return CueProfile(
        name=name,
        cues=tuple(_waiting(cue, cues) for cue in cues),
        large_model=large_model,
        small_model=small_model,
        source=(
            f"Measured by RelayGen {provenance.tool_version}: {provenance.trajectories} trajectories "
            f"on {provenance.questions} questions, {provenance.tokens:,} tokens."
        ),
        notes=notes,
        tokenizer_fingerprint=fingerprint,
        statistics=figures,
        why=whys,
        provenance=replace(
            provenance,
            utilisation=round(expected.utilisation, 6),
            agreement=None if analysis.agrees is None else round(expected.agreement, 6),
        ),
    )


def statistics_of(found: CueStatistics) -> dict[str, float]:
    """The figures of a cue, by the names that they have in a profile's JSON."""
    margin, agreement = found.margin, found.agreement
    figures = {
        "segments": found.count,
        "questions": found.questions,
        "share": found.share,
        "length": found.length,
        "margin": margin.mean,
        "margin_rest": margin.rest,
        "effect": margin.effect,
        "effect_low": margin.low,
        "effect_high": margin.high,
        "p": margin.p,
        "q": margin.q,
    }
    if agreement is not None:
        figures |= {
            "agreement": agreement.mean,
            "agreement_rest": agreement.rest,
            "agreement_effect": agreement.effect,
            "agreement_low": agreement.low,
            "agreement_high": agreement.high,
            "agreement_q": agreement.q,
            "whole_segments": found.whole or 0.0,
        }
    return {name: float(f"{value:.6g}") for name, value in figures.items()}


def describe(rule: Rule, target: float | None = None) -> str:
    """A rule with its thresholds, in words."""
    if target is not None:
        return (
            f"the cheapest cues in agreement lost for a utilisation of {target:g}, from candidates "
            f"with {rule.min_count} segments of {rule.min_questions} questions"
        )
    if rule.name is RuleName.PAPER:
        return "paper: the mean margin is above that of all other tokens; nothing is tested"
    more = f", effect >= {rule.min_effect:g}" if rule.min_effect else ""
    more += f", agreement >= {rule.min_agreement:g}" if rule.min_agreement else ""
    return (
        f"tested: margin and agreement above the rest, each with a false discovery rate of "
        f"{rule.fdr:g}, {rule.min_count} segments of {rule.min_questions} questions{more}"
    )


def _waiting(cue: SwitchCue, cues: Sequence[SwitchCue]) -> SwitchCue:
    longer = any(c is not cue and c.visible.startswith(cue.visible) for c in cues)
    return replace(cue, confirm_tokens=1) if longer else cue
