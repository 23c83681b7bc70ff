"""Profiles and analyses as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relaygen.profiling.analysis import Analysis
from relaygen.profiling.compare import Difference
from relaygen.profiling.selection import Verdict
from relaygen.relay.cues import SwitchCue
from relaygen.relay.profile import CueProfile
from relaygen.views.printable import one_line

_SHOWN = 30


def profile_lines(profile: CueProfile) -> list[str]:
    """A profile for the reader."""
    lines = [
        f"{one_line(profile.name)}: {len(profile.cues)} cues of {one_line(profile.large_model)}, "
        f"handing over to {one_line(profile.small_model)}",
        f"  source       {one_line(profile.source)}",
    ]
    if profile.notes:
        lines.append(f"  notes        {one_line(profile.notes)}")
    lines.append(f"  tokenizer    {profile.tokenizer_fingerprint or 'not tied to one'}")
    made = profile.provenance
    if made is not None:
        sampling = ", ".join(f"{k} {v:g}" for k, v in made.sampling.items())
        agreement = "" if made.agreement is None else f", agreement {made.agreement:.1%}"
        lines += [
            f"  data         {one_line(made.data)} (sha256 {made.data_sha256[:16]}...), "
            f"{made.questions} questions, {made.trajectories} trajectories, {made.tokens:,} tokens",
            f"  sampling     {sampling}; seed {made.seed}; RelayGen {made.tool_version}",
            f"  rule         {one_line(made.rule)}",
            f"  expected     utilisation {made.utilisation:.1%}{agreement}",
        ]
    rows = [_profile_row(cue, profile.statistics.get(cue.text, {})) for cue in profile.cues]
    head = ["cue", "where", "segments", "tokens each", "share", "margin vs rest", "agreement", "q"]
    return [*lines, "", *_table([head, *rows])]


def difference_lines(first: CueProfile, second: CueProfile, found: Difference) -> list[str]:
    """A difference for the reader."""
    lines = [f"both: {len(found.both)} cues"]
    for profile, cues in ((first, found.only_first), (second, found.only_second)):
        listed = ", ".join(_quoted(cue.text) for cue in cues) or "none"
        lines.append(f"only {one_line(profile.name)}: {listed}")
    for a, b in found.changed:
        lines.append(f"changed: {_quoted(a.text)}  {_how(a)} -> {_how(b)}")
    for text in found.both:
        effects = [p.statistics.get(text, {}).get("effect") for p in (first, second)]
        if None not in effects and effects[0] != effects[1]:
            lines.append(f"effect of {_quoted(text)}: {effects[0]:+.4f} -> {effects[1]:+.4f}")
    if found.same_tokenizer is False:
        lines.append("they belong to different tokenizers")
    return lines


def verdict_lines(
    analysis: Analysis, chosen: Mapping[str, Sequence[Verdict]], main: str
) -> list[str]:
    """All candidates that a rule takes and the first of the others, rule beside rule."""
    marks = {rule: {v.cue for v in verdicts if v.taken} for rule, verdicts in chosen.items()}
    reasons = {v.cue: v.why for v in chosen[main]}
    numbers = sorted(
        range(len(analysis.statistics)),
        key=lambda i: (
            not any(i in taken for taken in marks.values()),
            i not in marks[main],
            -analysis.statistics[i].tokens,
        ),
    )
    rows = [["cue", *chosen, "segments", "share", "margin vs rest", "agreement", f"why ({main})"]]
    for number in numbers[:_SHOWN]:
        found = analysis.statistics[number]
        agreement = "" if found.agreement is None else f"{found.agreement.mean:.3f}"
        rows.append(
            [
                _quoted(found.cue.text),
                *("yes" if number in taken else "-" for taken in marks.values()),
                f"{found.count:,}",
                f"{found.share:.1%}",
                f"{found.margin.effect:+.4f} ({found.margin.low:+.4f} to {found.margin.high:+.4f})",
                agreement,
                one_line(reasons[number]),
            ]
        )
    lines = _table(rows)
    if len(numbers) > _SHOWN:
        lines.append(f"... and {len(numbers) - _SHOWN} more; the report has all of them")
    return lines


def _profile_row(cue: SwitchCue, figures: Mapping[str, float]) -> list[str]:
    def shown(name: str, form: str) -> str:
        return format(figures[name], form) if name in figures else ""

    return [
        _quoted(cue.text),
        _how(cue),
        shown("segments", ",.0f"),
        shown("length", ".1f"),
        shown("share", ".1%"),
        shown("effect", "+.4f"),
        shown("agreement", ".3f"),
        shown("q", ".2g"),
    ]


def _how(cue: SwitchCue) -> str:
    return f"{cue.position}{', waits a token' if cue.confirm_tokens else ''}"


def _quoted(text: str) -> str:
    return f"'{one_line(text)}{' ' if text[-1:].isspace() else ''}'"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
