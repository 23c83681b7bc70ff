"""The playground as `relaygen serve` serves it, with the embedded pair behind it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from relaygen.views.recorded import generations
from tests.views.generations import QUESTION

pytestmark = pytest.mark.e2e


@pytest.fixture
def served() -> Iterator[str]:
    """The address of a gateway in a process of its own."""
    command = [sys.executable, "-m", "relaygen", "serve", "--port", "0"]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said = ""
    for line in process.stderr:
        said += line
        if found := re.search(r"serving .* on (http://\S+)", line):
            break
    else:
        pytest.fail(f"it did not start: {said}")
    try:
        yield f"{found[1]}/"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_comparison_with_real_traces(watch: Any, served: str) -> None:
    page = watch(served).page
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
