"""The playground as `relaygen serve` serves it, with the embedded pair behind it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from relaygen.views.recorded import generations
from tests.views.generations import QUESTION

pytestmark = pytest.mark.e2e


def test_comparison_with_real_traces(watch: Any, gateway_url: str) -> None:
    page = watch(f"{gateway_url}/").page
    page.locator("#model option").first.wait_for(state="attached")
    assert page.locator("#model option").count() == 1
    page.get_by_label("Question").fill(QUESTION)
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("status").filter(has_text="Done").wait_for()
    assert page.locator("article h2").all_inner_texts() == ["Large alone", "Small alone", "Relay"]
    page.locator("article").last.locator(".segment").first.hover()
    assert re.search(r"margin \d\.\d\d on average", page.get_by_role("tooltip").inner_text())
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").click()
    saved = generations(Path(download.value.path()).read_bytes(), "traces.json")
    for made in saved:
        trace = made["trace"]
        assert "".join(s["text"] for s in trace["segments"]).endswith(made["answer"])
        tokens = sum(len(s["token_ids"]) for s in trace["segments"])
        assert tokens == made["usage"]["completion_tokens"]
        assert trace["wall_s"] == pytest.approx(trace["segments"][-1]["ended_s"], abs=0.5)
    assert {s["role"] for s in saved[2]["trace"]["segments"]} == {"large", "small"}
