from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from relaygen.profiling.analysis import Analysis
from relaygen.profiling.report import draw, report_page, write_report
from relaygen.profiling.selection import Rule, RuleName, Verdict, select
from relaygen.relay.cues import SwitchCue

from .test_analysis import world

HOSTILE = "</style><script>alert(1)</script><img src=x onerror=y>\x1b[31m&amp;\u202e"


class _Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [v or "" for k, v in attrs if k in ("src", "href")]


def rules(analysis: Analysis) -> dict[str, list[Verdict]]:
    return {
        "tested": select(analysis, Rule()),
        "paper": select(analysis, Rule(name=RuleName.PAPER)),
    }


@pytest.mark.parametrize("good", [("So,",), ()], ids=["a cue", "no cue"])
def test_report_and_pictures_are_written(tmp_path: Path, good: tuple[str, ...]) -> None:
    analysis = world(good, questions=12)
    page, folder = tmp_path / "r.html", tmp_path / "plots"
    write_report(page, folder, analysis, rules(analysis), "tested", title="L and S")
    names = {path.stem for path in folder.iterdir()}
    assert names == {
        "margin-along-a-trajectory",
        "distributions",
        "effects",
        "frontier",
        "segment-lengths",
    }
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in folder.iterdir())
    text = page.read_text(encoding="utf-8")
    parsed = _Tags(text)
    assert parsed.tags.count("img") == 5
    assert all(source.startswith("data:image/png;base64,") for source in parsed.sources)
    assert "script" not in parsed.tags
    assert "Wait," in text
    assert "is not beyond chance" in text


def test_the_style_is_the_one_that_the_policy_allows() -> None:
    analysis = world(questions=6)
    page = report_page(analysis, rules(analysis), "tested", {}, title="t")
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in page


def test_text_of_models_adds_no_element() -> None:
    analysis = world(questions=6)
    found = rules(analysis)
    usual = _Tags(report_page(analysis, found, "tested", {}, title="t"))
    evil = replace(
        analysis,
        statistics=tuple(
            replace(s, cue=SwitchCue(text=f"So{HOSTILE[:40]}".replace("\x1b", "")[:60]))
            for s in analysis.statistics
        ),
    )
    evil.design.sentences.head[0] = HOSTILE
    found["tested"] = [replace(v, why=HOSTILE) for v in found["tested"]]
    page = report_page(evil, found, "tested", {}, title=HOSTILE)
    assert _Tags(page).tags == usual.tags
    assert "\x1b" not in page
    assert page.isascii()


def test_text_in_pictures_is_no_formula() -> None:
    analysis = world(questions=6)
    odd = replace(
        analysis,
        statistics=tuple(replace(s, cue=SwitchCue(text="所以_{^x")) for s in analysis.statistics),
    )
    assert draw(odd, rules(analysis), "tested")["effects"].startswith(b"\x89PNG")
