"""The report of a profile: one HTML file that holds its pictures, and the pictures as PNG files.

The page runs no script and loads nothing, and the browser enforces that. What models wrote is
escaped, and control characters in it are spelled out.
"""

from __future__ import annotations

import base64
import hashlib
import html
import warnings
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from relaygen.profiling.analysis import Analysis, CueStatistics
from relaygen.profiling.candidates import count_openers
from relaygen.profiling.frontier import frontier, of_set
from relaygen.profiling.selection import Verdict, taken
from relaygen.profiling.sentences import Sentences
from relaygen.profiling.trajectories import Ints
from relaygen.views.printable import one_line

_HEAD: Final = (
    "cue", "why", "segments", "questions", "share", "tokens each", "margin", "rest", "effect",
    "95 % interval", "q", "agreement", "rest", "whole segments",
)  # fmt: skip


_NAMED: Final = 16
"""Cues that are named in the summary."""

_EXPLAINED: Final = """
<p>A cue is worth taking where the tokens after it are surer than the rest of the same trajectories (margin: probability of
the likeliest token minus that of the next), and where the small model's likeliest token is more often the one that was
written (agreement). The rest are the tokens of other sentences from the same place on. Intervals and q-values take
questions as the unit. Utilisation counts the answer as the small model's, and leaves out the relay's rule against
loops.</p>"""


def write_report(
    page: Path,
    folder: Path,
    analysis: Analysis,
    chosen: Mapping[str, Sequence[Verdict]],
    main: str,
    *,
    title: str,
) -> None:
    """Writes the page, and the pictures into a folder beside it.

    Args:
        page: the HTML file.
        folder: for the PNG files; made if it is not there.
        analysis: what was measured.
        chosen: verdicts by the name of the rule.
        main: the rule whose cues the profile has.
        title: for the reader.

    Raises:
        OSError: the disk refuses.
    """
    pictures = draw(analysis, chosen, main)
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in pictures.items():
        (folder / f"{name}.png").write_bytes(data)
    page.write_text(report_page(analysis, chosen, main, pictures, title=title), encoding="utf-8")


def draw(
    analysis: Analysis, chosen: Mapping[str, Sequence[Verdict]], main: str
) -> dict[str, bytes]:
    """The pictures as PNG files, by name."""
    from relaygen.profiling import plots

    numbers = taken(chosen[main])
    every = range(len(analysis.statistics))
    sets = {rule: of_set(analysis, taken(verdicts)) for rule, verdicts in chosen.items()}
    with plots.styled(), warnings.catch_warnings():
        # A script that the font lacks; the tables of the page have the text.
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from font")
        figures = {
            "margin-along-a-trajectory": plots.margin_along(analysis, numbers),
            "distributions": plots.distributions(analysis, numbers),
            "effects": plots.forest(analysis, numbers),
            "frontier": plots.frontier_plot(analysis, frontier(analysis, every), sets),
            "segment-lengths": plots.segment_lengths(analysis, numbers),
        }
        return {name: plots.png_of(figure) for name, figure in figures.items()}


def report_page(
    analysis: Analysis,
    chosen: Mapping[str, Sequence[Verdict]],
    main: str,
    pictures: Mapping[str, bytes],
    *,
    title: str,
) -> str:
    """The page."""
    parts = {
        "In short": _summary(analysis, chosen) + _EXPLAINED,
        "Pictures": "\n".join(_picture(name, data) for name, data in pictures.items()),
        "Taken": _table(_HEAD, _rows(analysis, chosen[main], wanted=True)),
        "Not taken, and why": _table(_HEAD, _rows(analysis, chosen[main], wanted=False)),
        "How sentences open": _openers(analysis.design.sentences, analysis.design.question_of),
    }
    return _page(f"Switch cues of {title}", parts)


def openers_page(texts: Mapping[str, tuple[Sentences, Ints]], *, title: str) -> str:
    """A page of how sentences open, without any scores.

    Args:
        texts: by the name of a model: its sentences, and the question of each text.
        title: for the reader.
    """
    parts = {
        name: _openers(sentences, question_of) for name, (sentences, question_of) in texts.items()
    }
    return _page(title, parts)


def _page(title: str, parts: Mapping[str, str]) -> str:
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    template = Template(files(__package__).joinpath("report.html").read_text(encoding="utf-8"))
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return template.substitute(
        policy=f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:",
        style=style,
        title=_shown(title),
        body="\n".join(f"<h2>{_shown(name)}</h2>\n{part}" for name, part in parts.items()),
    )


def _summary(analysis: Analysis, chosen: Mapping[str, Sequence[Verdict]]) -> str:
    design = analysis.design
    rows = []
    for rule, verdicts in chosen.items():
        place = of_set(analysis, taken(verdicts))
        numbers = sorted(taken(verdicts), key=lambda n: -analysis.statistics[n].tokens)
        cues = "  ".join(f"\u201c{analysis.statistics[n].cue.text}\u201d" for n in numbers[:_NAMED])
        if len(numbers) > _NAMED:
            cues += f" and {len(numbers) - _NAMED} more"
        rows.append(
            (
                rule,
                str(len(taken(verdicts))),
                f"{place.utilisation:.1%}",
                f"{place.agreement:.2%}",
                f"{1 - place.lost:.2%}",
                cues or "none",
            )
        )
    head = ("rule", "cues", "utilisation", "of what is handed over stays", "of all stays", "which")
    return (
        f"<p>{analysis.trajectories:,} trajectories on {design.questions:,} questions, "
        f"{analysis.tokens:,} tokens, {analysis.reasoning_tokens:,} of them reasoning. "
        f"{len(analysis.statistics)} candidates.</p>" + _table(head, rows)
    )


def _rows(
    analysis: Analysis, verdicts: Sequence[Verdict], *, wanted: bool
) -> list[tuple[str, ...]]:
    judged = [v for v in verdicts if v.taken is wanted]
    judged.sort(key=lambda v: -analysis.statistics[v.cue].tokens)
    return [_row(analysis.statistics[v.cue], v) for v in judged]


def _row(found: CueStatistics, verdict: Verdict) -> tuple[str, ...]:
    margin, agreement = found.margin, found.agreement
    return (
        found.cue.text,
        verdict.why,
        f"{found.count:,}",
        f"{found.questions:,}",
        f"{found.share:.2%}",
        f"{found.length:.1f}",
        f"{margin.mean:.4f}",
        f"{margin.rest:.4f}",
        f"{margin.effect:+.4f}",
        f"{margin.low:+.4f} to {margin.high:+.4f}",
        f"{margin.q:.2g}",
        "" if agreement is None else f"{agreement.mean:.4f}",
        "" if agreement is None else f"{agreement.rest:.4f}",
        "" if found.whole is None else f"{found.whole:.1%}",
    )


def _openers(sentences: Sentences, question_of: Ints) -> str:
    """The openers that are frequent, candidates or not."""
    counts = count_openers(sentences, question_of)
    total = max(1, len(sentences.text))
    rows = [
        (text, f"{count:,}", f"{questions:,}", f"{count / total:.1%}")
        for text, (count, questions) in sorted(counts.items(), key=lambda kv: (-kv[1][0], kv[0]))[
            :40
        ]
    ]
    return _table(("opener", "sentences", "questions", "of all sentences"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return "<p>None.</p>"
    top = "".join(f"<th scope=col>{_shown(cell)}</th>" for cell in head)
    body = "\n".join(
        "<tr>" + "".join(_cell(*pair) for pair in zip(head, row, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{top}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>'


def _cell(head: str, text: str) -> str:
    kind = " class=prose" if head in ("why", "which") else ""
    return f"<td{kind}>{_shown(text)}</td>"


def _picture(name: str, data: bytes) -> str:
    source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{_shown(name.replace("-", " "))}"></figure>'


def _shown(text: str) -> str:
    escaped = html.escape(one_line(text))
    return escaped.encode("ascii", "xmlcharrefreplace").decode()
