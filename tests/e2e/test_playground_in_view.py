"""What matters is where one looks: the text while it grows, the figures, the reason of an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.views.generations import QUESTION, RELAY, generation

from .stand_in import StandIn

pytestmark = pytest.mark.e2e

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DESKTOP = {"viewport": {"width": 1280, "height": 800}}
DEVICES = pytest.mark.parametrize("device", [PHONE, DESKTOP], ids=["phone", "desktop"])
REFUSAL = "this request has 9312 prompt tokens, longer than the context of 4096; shorten it"

SEEN = """selector => {
  const {top, bottom} = document.querySelector(selector).getBoundingClientRect();
  return [top, bottom].map(y => y >= 0 && y <= innerHeight);
}"""
UNCOVERED = """() => {
  const text = document.querySelector("article .segment")?.getClientRects()[0];
  return text && text.top >= document.getElementById("bar").getBoundingClientRect().bottom
    && text.bottom <= innerHeight;
}"""
END_SEEN = """() => {
  const end = document.querySelector("article").getBoundingClientRect().bottom;
  return scrollY > 0 && end > 0 && end <= innerHeight;
}"""
END_UNSEEN = f"() => !({END_SEEN})()"


@pytest.fixture
def long(gateway: StandIn) -> StandIn:
    """Answers with more than fits a window, even by half."""
    parts = [(role, stage, text * 12, ending) for role, stage, text, ending in RELAY]
    gateway.made = {policy: generation(policy, parts) for policy in gateway.made}
    return gateway


def _ask(page: Any, button: str = "Ask") -> None:
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name=button, exact=True).click()


def _says(page: Any, text: str) -> None:
    page.get_by_role("status").filter(has_text=text).wait_for()


def _figures(page: Any) -> dict[str, str]:
    lines = page.locator("dl").inner_text().split("\n")
    return dict(zip(lines[::2], lines[1::2], strict=True))


@DEVICES
@pytest.mark.parametrize("button", ["Ask", "Compare"])
def test_beginning_of_the_text_comes_into_view(
    watch: Any, gateway: StandIn, device: Any, button: str, screenshots: Path
) -> None:
    gateway.stalls = True
    page = watch(gateway.url, **device).page
    page.get_by_text("Settings").click()  # the text begins far down
    _ask(page, button)
    page.wait_for_function(UNCOVERED)
    page.screenshot(path=screenshots / f"in-view-{device['viewport']['width']}-{button}.png")
    assert page.get_by_role("button", name="Stop").is_visible()
    assert page.evaluate(SEEN, "#stop") == [True, True]
    page.get_by_role("button", name="Stop").click()
    _says(page, "Stopped")


@DEVICES
def test_page_follows_the_text_to_its_end(watch: Any, long: StandIn, device: Any) -> None:
    long.stalls = True
    page = watch(long.url, **device).page
    _ask(page)
    page.wait_for_function(END_SEEN)
    halfway = page.evaluate("scrollY")
    long.resume()
    _says(page, "Done")
    page.wait_for_function(END_SEEN)
    assert page.evaluate("scrollY") > halfway


def test_text_that_moves_under_a_resting_pointer_opens_no_card(watch: Any, long: StandIn) -> None:
    page = watch(long.url, reduced_motion="reduce", **DESKTOP).page
    page.mouse.move(300, 20)
    page.get_by_label("Question").fill(QUESTION)
    page.keyboard.press("Control+Enter")
    _says(page, "Done")
    page.wait_for_function(END_SEEN)
    page.evaluate(
        "() => {"
        "document.addEventListener('pointerover', ({target}) => {"
        "  window.crossed ||= Boolean(target.closest('article [data-segment]'));"
        "});"
        "const {top, height} = document.querySelector('article .segment').getClientRects()[1];"
        "scrollBy({top: top + height / 2 - 20, behavior: 'instant'});"
        "}"
    )
    page.wait_for_function("() => window.crossed")
    assert not page.get_by_role("tooltip").is_visible()
    page.mouse.move(301, 20)
    page.get_by_role("tooltip").wait_for()


def test_reader_who_scrolls_up_is_left_there(watch: Any, long: StandIn) -> None:
    long.stalls = True
    page = watch(long.url, reduced_motion="reduce", **DESKTOP).page
    _ask(page)
    page.wait_for_function(END_SEEN)
    page.mouse.wheel(0, -300)
    page.wait_for_function(END_UNSEEN)
    there = page.evaluate("scrollY")
    long.resume()
    _says(page, "Done")
    assert page.evaluate("scrollY") <= there
    assert page.evaluate(END_UNSEEN)


def test_reader_who_comes_back_to_the_end_is_taken_along(watch: Any, long: StandIn) -> None:
    long.stalls = True
    page = watch(long.url, reduced_motion="reduce", **DESKTOP).page
    _ask(page)
    page.wait_for_function(END_SEEN)
    halfway = page.evaluate("scrollY")
    page.mouse.wheel(0, -300)
    page.wait_for_function(END_UNSEEN)
    page.mouse.wheel(0, 400)
    page.wait_for_function(END_SEEN)
    long.resume()
    _says(page, "Done")
    page.wait_for_function(END_SEEN)
    assert page.evaluate("scrollY") > halfway + 100


@pytest.mark.parametrize(("motion", "how"), [("reduce", "instant"), ("no-preference", "smooth")])
def test_page_glides_only_where_motion_is_welcome(
    watch: Any, long: StandIn, motion: str, how: str
) -> None:
    page = watch(long.url, reduced_motion=motion, **PHONE).page
    page.evaluate(
        "() => {"
        "window.hows = [];"
        "const scroll = window.scrollTo.bind(window);"
        "window.scrollTo = (to) => { hows.push(to.behavior); scroll(to); };"
        "}"
    )
    _ask(page)
    _says(page, "Done")
    assert set(page.evaluate("hows")) == {how}


def test_figures_are_there_while_it_is_written(watch: Any, gateway: StandIn) -> None:
    gateway.stalls = True
    page = watch(gateway.url, **PHONE).page
    _ask(page)
    page.locator(".glance").filter(has_text="1 handoff").wait_for()
    live, whole = _figures(page), gateway.made["relay"]
    total = whole["usage"]["completion_tokens"]
    assert 0 < int(live["Tokens"]) < total
    assert int(live["Tokens per second"].replace(",", "")) > 0
    assert 0 < int(live["By the large model"].removesuffix("%")) < 100
    assert live["Handoffs"] == "1"
    assert f"{live['Tokens']} tokens" in page.locator(".glance").inner_text()
    assert page.evaluate(SEEN, ".glance") == [True, True]
    gateway.resume()
    _says(page, "Done")
    assert _figures(page)["Tokens"] == str(total)
    assert page.locator(".glance").inner_text() == ""


@DEVICES
@pytest.mark.parametrize("button", ["Ask", "Compare"])
def test_refusal_is_told_where_one_looks(
    watch: Any, gateway: StandIn, device: Any, button: str, screenshots: Path
) -> None:
    gateway.refuses = REFUSAL
    page = watch(gateway.url, **device).page
    page.get_by_text("Settings").click()  # the question alone would leave room enough
    _ask(page, button)
    _says(page, f"No answer: {REFUSAL}")
    assert page.evaluate(SEEN, "#status") == [True, True]
    assert "broke off" not in page.locator("body").inner_text()
    assert page.get_by_label("Question").input_value() == QUESTION
    page.screenshot(path=screenshots / f"refused-{device['viewport']['width']}-{button}.png")


@DEVICES
def test_stream_that_broke_off_says_why_in_view(watch: Any, long: StandIn, device: Any) -> None:
    long.breaks = True
    page = watch(long.url, **device).page
    _ask(page)
    _says(page, "It broke off: the large model is gone")
    page.wait_for_function(END_SEEN)
    assert page.evaluate(SEEN, "#status") == [True, True]


def test_connection_that_ends_halfway(watch: Any, gateway: StandIn) -> None:
    gateway.cuts = True
    page = watch(gateway.url, **PHONE).page
    _ask(page)
    page.locator(".glance").filter(has_text="handoff").wait_for()
    gateway.resume()
    _says(page, "It broke off: the connection ended before the answer did")
    assert "Mia starts" in page.locator(".prose").first.inner_text()
    assert page.evaluate(SEEN, "#status") == [True, True]
    assert page.get_by_role("button", name="Ask", exact=True).is_enabled()


def test_server_that_is_gone(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url, **PHONE).page
    page.locator("#model option").first.wait_for(state="attached")
    page.context.set_offline(True)
    _ask(page)
    _says(page, "No answer: the server cannot be reached")
    assert page.evaluate(SEEN, "#status") == [True, True]


def test_tap_beside_a_narrow_bar_tells_of_it(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url, reduced_motion="reduce", **PHONE).page
    _ask(page)
    _says(page, "Done")
    page.locator(".timeline").scroll_into_view_if_needed()
    narrow = page.locator(".bar").nth(4)
    box = narrow.bounding_box()
    assert box["width"] < 24
    page.touchscreen.tap(box["x"] + box["width"] / 2, box["y"] + box["height"] + 4)
    card = page.get_by_role("tooltip")
    card.wait_for()
    assert card.inner_text().startswith("large model")
    assert page.locator(".segment.current").inner_text().strip() == "</think>"
    page.locator("article h2").tap()
    card.wait_for(state="hidden")


def test_keys_are_told_where_there_are_keys(watch: Any, gateway: StandIn) -> None:
    hints = [watch(gateway.url, **device).page.locator("#hint") for device in (DESKTOP, PHONE)]
    assert [hint.is_visible() for hint in hints] == [True, False]
    assert hints[0].inner_text() == "Ctrl + Enter asks"
