"""The page of a trace in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from relaygen.views.html import trace_page
from relaygen.views.recorded import generations
from tests.views.generations import HOSTILE, QUESTION, generation, hostile

pytestmark = pytest.mark.e2e

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
THREE = [generation(policy) for policy in ("large", "small", "relay")]


@pytest.fixture
def opened(watch: Any, tmp_path: Path) -> Any:
    def open_traces(made: list[dict[str, Any]], **options: Any) -> Any:
        file = tmp_path / "page.html"
        file.write_text(trace_page(made), encoding="utf-8")
        return watch(file.as_uri(), **options)

    return open_traces


def test_text_stands_there_by_who_wrote_it(opened: Any) -> None:
    made = generation()
    page = opened([made]).page
    assert page.locator(".message.user p").inner_text() == QUESTION
    small = page.locator(".reasoning .segment.small")
    wanted = [s["text"] for s in made["trace"]["segments"] if s["role"] == "small"]
    assert small.all_text_contents() == wanted[:2]
    assert page.locator(".reasoning .tag").text_content() == "</think>"
    assert page.locator(".prose").nth(1).text_content() == wanted[2].lstrip()
    large = page.locator(".prose .segment.large").first
    styles = [
        element.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).textDecorationLine]")
        for element in (large, small.first)
    ]
    assert styles[0][0] != styles[1][0]
    assert [style[1] for style in styles] == ["none", "underline"]  # not by colour alone


def test_reasoning_folds(opened: Any) -> None:
    page = opened(THREE).page
    assert page.locator(".reasoning .prose:visible").count() == 3
    page.get_by_role("button", name="Fold reasoning").click()
    assert page.locator(".reasoning .prose:visible").count() == 0
    page.locator("summary").first.click()
    assert page.locator(".reasoning .prose:visible").count() == 1


def test_card_tells_the_margins_of_a_segment(opened: Any) -> None:
    page = opened([generation()]).page
    card = page.get_by_role("tooltip")
    page.locator(".prose .segment.small").first.hover()
    assert "margin 0." in card.inner_text()
    assert "the sentence ended" in card.inner_text()
    assert card.locator("svg rect").count() == 9
    assert page.locator(".bar.current").count() == 1  # the same segment in the timeline
    page.keyboard.press("Escape")
    assert not card.is_visible()
    page.locator(".bar").nth(1).hover()
    assert page.locator(".segment.current").inner_text().strip().startswith("she has more")


def test_margins_that_nobody_recorded(opened: Any) -> None:
    page = opened([generation(margins=False)]).page
    page.locator(".prose .segment").first.hover()
    assert "not recorded" in page.get_by_role("tooltip").inner_text()


def test_figures_and_timelines_stand_side_by_side(opened: Any) -> None:
    page = opened(THREE).page
    assert page.locator("thead th").all_inner_texts() == ["Large alone", "Small alone", "Relay"]
    rows = dict(row.inner_text().split("\t", 1) for row in page.locator("tbody tr").all())
    assert rows["Handoffs"].split() == ["0", "0", "3"]
    assert rows["By the large model"].split()[:2] == ["100%", "0%"]
    assert page.get_by_role("img").count() == 3
    assert page.locator(".handoff").count() == 5
    tops = [box["y"] for box in (a.bounding_box() for a in page.locator("article").all())]
    assert len(set(tops)) == 1


def test_hostile_text_is_text(opened: Any) -> None:
    watched = opened([hostile(), hostile()])
    page = watched.page
    for element in page.locator(".segment, .bar").all():
        element.dispatch_event("pointermove")
    assert not watched.hacked()
    assert page.locator("#view img, #view iframe, #view script, #view a, #view link").count() == 0
    shown = page.locator(".message.user p").text_content()
    assert shown.startswith(HOSTILE[:150])
    assert r"\u202e\x00\x1b[31m" in shown  # spelled out


def test_trace_comes_back_from_the_page(opened: Any, tmp_path: Path) -> None:
    for made in ([hostile()], THREE):
        page = opened(made).page
        with page.expect_download() as download:
            page.get_by_role("button", name="Download JSON").click()
        saved = Path(download.value.path()).read_bytes()
        assert generations(saved, "t.json") == made
        json.loads(saved)


def test_keyboard_reaches_everything(opened: Any) -> None:
    page = opened([generation()]).page
    focused = page.locator(":focus")
    page.keyboard.press("Tab")
    assert focused.inner_text() == "Skip to the trace"
    page.keyboard.press("Enter")
    seen = []
    for _ in range(5):
        page.keyboard.press("Tab")
        seen.append(focused.inner_text().strip().split("\n")[0])
    assert seen[0] == "Fold reasoning"
    assert seen[1] == "Download JSON"
    assert seen[2].startswith("Reasoning")
    assert seen[3].startswith("Mia starts")
    assert seen[4].startswith("Mia has 347 + 58")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowRight")
    assert focused.inner_text().strip() == "she has more of them after she buys 58."
    assert page.get_by_role("tooltip").is_visible()
    assert focused.get_attribute("aria-describedby") == "segment-card"
    page.keyboard.press("End")
    assert "</think>" in focused.inner_text()
    page.keyboard.press("Home")
    assert focused.inner_text().startswith("Mia starts")


@pytest.mark.parametrize("made", [THREE, [hostile()] * 3], ids=["harmless", "hostile"])
def test_phone_scrolls_one_way_only(opened: Any, made: Any, screenshots: Path) -> None:
    watched = opened(made, **PHONE)
    assert watched.wide() == 0
    watched.page.locator(".prose .segment").first.tap()
    box = watched.page.get_by_role("tooltip").bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 360
    watched.page.screenshot(path=screenshots / "trace-phone.png")


def test_dark_print_and_light_differ(opened: Any, screenshots: Path) -> None:
    page = opened(THREE).page
    colours = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=screenshots / f"trace-{scheme}.png", full_page=True)
        colours.append(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1]
    page.get_by_role("button", name="Fold reasoning").click()
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert not page.get_by_role("button", name="Fold").is_visible()
    page.pdf(path=screenshots / "trace.pdf")
    assert page.locator(".reasoning .prose:visible").count() == 3  # paper cannot be unfolded
