"""The commands on the embedded pair and llama.cpp, with nothing simulated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import STORY


def _relaygen(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "relaygen", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )


def test_a_trace_repeats_the_run(tmp_path: Path) -> None:
    file = tmp_path / "trace.json"
    first = _relaygen("run", STORY, "--max-tokens", "80", "--margins", "--trace", str(file))
    assert first.returncode == 0
    saved = json.loads(file.read_text(encoding="utf-8"))
    again = _relaygen(
        "run", "--json", "--max-tokens", "80", "--seed", str(saved["run"]["seed"]), STORY
    )
    repeated = json.loads(again.stdout)
    assert repeated["text"] == saved["text"]
    ids = [[s["token_ids"] for s in r["trace"]["segments"]] for r in (saved, repeated)]
    assert ids[0] == ids[1]
    margins = [m for s in saved["trace"]["segments"] for m in s["margins"]]
    assert len(margins) == saved["usage"]["completion_tokens"]
    assert all(m is None or 0 <= m <= 1 for m in margins)
    assert saved["run"]["models"]["large"]["engine"] == "LlamaCppEngine"


@pytest.mark.slow  # where torch is installed, it is imported and tried, too
def test_doctor_finds_nothing_wrong() -> None:
    ran = _relaygen("doctor", "--json")
    report = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    facts = {check["name"]: check["facts"] for check in report["checks"]}
    assert facts["engine llama_cpp, large model"]["library_tested"] is True


def test_demo_runs_to_its_end() -> None:
    ran = _relaygen("demo", "--problems", "1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "large alone" in ran.stdout
