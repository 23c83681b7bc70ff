"""The playground in a real browser, in front of a gateway that recites."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from relaygen.views.recorded import generations
from tests.views.generations import HOSTILE, QUESTION, generation, hostile

from .stand_in import StandIn

pytestmark = pytest.mark.e2e

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}


def _ask(page: Any, button: str = "Ask") -> None:
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name=button, exact=True).click()


def _says(page: Any, text: str) -> None:
    page.get_by_role("status").filter(has_text=text).wait_for()


def _tops(page: Any) -> list[float]:
    """All at once: the page may still be scrolling."""
    tops: list[float] = page.locator("article").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().top)"
    )
    return tops


def test_answer_comes_coloured_by_role(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url).page
    _ask(page)
    _says(page, "Done")
    segments = page.locator(".reasoning .segment")
    assert segments.evaluate_all("all => all.map(e => e.className)") == [
        f"segment {s['role']}" for s in gateway.made["relay"]["trace"]["segments"][:5]
    ]
    assert page.locator(".prose").nth(1).text_content() == gateway.made["relay"]["answer"].strip()
    assert page.locator("dl").inner_text().split("\n")[-1] == "finished"
    segments.nth(1).hover()
    assert "margin 0." in page.get_by_role("tooltip").inner_text()


def test_request_says_what_the_form_says(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url).page
    page.get_by_label("Model").select_option("tiny-2")
    page.get_by_label("Who writes").select_option("small")
    page.get_by_text("Settings").click()
    page.get_by_label("System message").fill("Be brief.")
    page.get_by_label("Temperature").fill("0.5")
    page.get_by_label("Most tokens").fill("99")
    page.get_by_label("Seed").fill("3")
    _ask(page)
    _says(page, "Done")
    assert gateway.asked == [
        {
            "model": "tiny-2",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": QUESTION},
            ],
            "temperature": 0.5,
            "max_completion_tokens": 99,
            "return_token_ids": True,
            "seed": 3,
            "relaygen": {"margins": True, "trace": True, "policy": "small"},
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]


def test_form_is_checked_before_anything_is_asked(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url).page
    page.get_by_role("button", name="Ask", exact=True).click()
    _says(page, "no question")
    page.get_by_text("Settings").click()
    page.get_by_label("Most tokens").fill("0")
    _ask(page)
    _says(page, "Most tokens:")
    assert gateway.asked == []


def test_compare_asks_all_three_with_one_seed(
    watch: Any, gateway: StandIn, screenshots: Path
) -> None:
    page = watch(gateway.url, viewport={"width": 1280, "height": 900}).page
    _ask(page, "Compare")
    _says(page, "Done")
    assert [body["relaygen"]["policy"] for body in gateway.asked] == ["large", "small", "relay"]
    assert len({body["seed"] for body in gateway.asked}) == 1
    assert page.locator("article h2").all_inner_texts() == ["Large alone", "Small alone", "Relay"]
    assert len(set(_tops(page))) == 1
    page.screenshot(path=screenshots / "playground-compare.png", full_page=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    saved = generations(Path(download.value.path()).read_bytes(), "traces.json")
    assert [g["trace"] for g in saved] == [
        gateway.made[policy]["trace"] for policy in ("large", "small", "relay")
    ]
    assert saved[0]["run"]["messages"] == [{"role": "user", "content": QUESTION}]


def test_stream_of_another_server_is_shown_without_roles(watch: Any, gateway: StandIn) -> None:
    gateway.extension = False
    page = watch(gateway.url).page
    _ask(page)
    _says(page, "Done")
    assert set(
        page.locator(".segment:not(.legend *)").evaluate_all("a => a.map(e => e.className)")
    ) == {"segment untold"}
    assert "405" in page.locator(".prose").nth(1).inner_text()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    (saved,) = generations(Path(download.value.path()).read_bytes(), "trace.json")
    assert saved["answer"] == gateway.made["relay"]["answer"]


def test_gateway_that_tells_figures_only(watch: Any, gateway: StandIn) -> None:
    gateway.figures = {
        "policy": "relay",
        "segments": 6,
        "handoffs": 3,
        "utilisation": 0.52,
        "tokens": {"large": 25, "small": 23, "overrun": 4},
        "degraded": True,
        "failovers": 0,
    }
    page = watch(gateway.url).page
    _ask(page)
    _says(page, "Done")
    figures = page.locator("dl").inner_text().split("\n")
    assert figures[figures.index("Overrun tokens") + 1] == "4"
    assert figures[figures.index("By the large model") + 1] == "52%"
    assert "small model failed" in page.locator(".notes").inner_text()
    assert page.locator("article h2").inner_text() == "Relay"
    assert page.locator(".reasoning .segment.small").count() == 2


def test_stop_ends_the_stream_on_both_sides(watch: Any, gateway: StandIn) -> None:
    gateway.stalls = True
    page = watch(gateway.url).page
    _ask(page, "Compare")
    page.locator(".segment.large:not(.legend *)").first.wait_for()
    assert "large model writes" in page.locator("article").first.inner_text()
    page.get_by_role("button", name="Stop").click()
    _says(page, "Stopped")
    assert "Mia starts" in page.locator(".prose").first.inner_text()
    assert page.locator("tbody tr").last.inner_text().split("\t")[1] == "stopped"
    assert page.locator(".state").nth(1).inner_text() == "not asked"
    assert page.get_by_role("button", name="Ask", exact=True).is_enabled()
    page.locator("#send:focus").wait_for()
    assert len(gateway.asked) == 1
    gateway.stalls = False
    _ask(page)
    _says(page, "Done")
    assert gateway.let_go == 1


def test_error_in_the_stream_is_text(watch: Any, gateway: StandIn) -> None:
    gateway.breaks = True
    page = watch(gateway.url).page
    _ask(page)
    _says(page, "broke off")
    assert page.get_by_role("alert").inner_text() == "the large model is gone"
    assert "Mia starts" in page.locator(".prose").first.inner_text()


def test_key_is_asked_for_and_kept_only_on_request(watch: Any, gateway: StandIn) -> None:
    gateway.key = "sk-secret"
    page = watch(gateway.url).page
    _says(page, "wants an API key")
    page.get_by_label("API key").fill("sk-secret")
    page.get_by_label("Question").fill(QUESTION)
    page.locator("#model option").nth(1).wait_for(state="attached")
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]
    page.get_by_label("Keep the key").check()
    page.reload()
    page.locator("#model option").nth(1).wait_for(state="attached")
    _ask(page)
    _says(page, "Done")
    page.get_by_text("Settings").click()
    page.get_by_label("Keep the key").uncheck()
    assert page.evaluate("[sessionStorage.length, localStorage.length]") == [0, 0]


def test_hostile_stream_is_text(watch: Any, gateway: StandIn) -> None:
    gateway.made = dict.fromkeys(("relay", "large", "small"), hostile())
    watched = watch(gateway.url)
    _ask(watched.page, "Compare")
    _says(watched.page, "Done")
    for element in watched.page.locator(".segment, .bar").all():
        element.dispatch_event("pointermove")
    assert not watched.hacked()
    assert watched.page.locator("#view img, #view iframe, #view script, #view a").count() == 0
    assert HOSTILE[:150] in watched.page.locator(".prose").first.text_content()
    assert set(gateway.paths) <= {"/", "/v1/models", "/v1/chat/completions", *_scripts(gateway)}


def _scripts(gateway: StandIn) -> set[str]:
    return {path for path in gateway.paths if path.startswith("/playground/")}


def test_keyboard_alone_is_enough(watch: Any, gateway: StandIn) -> None:
    page = watch(gateway.url).page
    page.keyboard.type(QUESTION)  # the question has the focus from the start
    page.keyboard.press("Control+Enter")
    _says(page, "Done")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Ask"
    page.keyboard.press("Enter")
    _says(page, "Done")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.locator("article").nth(2).wait_for()
    _says(page, "Done")
    assert len(gateway.asked) == 5


def test_phone_and_dark(watch: Any, gateway: StandIn, screenshots: Path) -> None:
    watched = watch(gateway.url, color_scheme="dark", **PHONE)
    page = watched.page
    assert watched.wide() == 0
    page.get_by_text("Settings").tap()
    assert watched.wide() == 0
    _ask(page, "Compare")
    _says(page, "Done")
    assert watched.wide() == 0
    tops = _tops(page)
    assert tops == sorted(set(tops))  # one below the other
    page.screenshot(path=screenshots / "playground-phone-dark.png", full_page=True)


def test_long_words_do_not_widen_the_phone(watch: Any, gateway: StandIn) -> None:
    word = "a" * 2000
    gateway.made["relay"] = generation(parts=[("large", "answer", word, "eos")], question=word)
    watched = watch(gateway.url, **PHONE)
    _ask(watched.page)
    _says(watched.page, "Done")
    assert watched.wide() == 0
