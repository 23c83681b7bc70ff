"""``relaygen profile`` with both models behind simulated servers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

from relaygen import demo_models, profiles
from relaygen.profiling import load_trajectories
from relaygen.tokens import Fingerprint, Tokenizer

from .conftest import Cli

FOLDER = demo_models.hf_folder("large")
QUESTIONS = 6
MARGIN = 0.9  # of every token that a simulated model writes, less what it keeps for the rest


@contextmanager
def serving(dialect: str, *options: str) -> Iterator[str]:
    program = [sys.executable, "-m", "relaygen.engines.simulated.server", "--dialect", dialect]
    command = [*program, "--tokenizer", str(FOLDER), *options]
    with subprocess.Popen(command, stdout=PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    questions = tmp_path / "questions.jsonl"
    entries = [{"question": f"What is {i} and {i * 7 + 1} in all?"} for i in range(QUESTIONS)]
    questions.write_text("".join(json.dumps(e) + "\n" for e in entries), encoding="utf-8")
    files = ("--tokenizer", str(FOLDER), "--questions", str(questions))
    # A simulated model is as sure of one token as of the other: no cue can be better than the rest.
    how = ("--target-utilisation", "0.5", "--force", "--no-report")
    return [*files, *how, "-o", str(tmp_path / "p.json")]


@pytest.mark.parametrize(
    ("dialect", "margins"),
    [
        ("vllm", "scored"),
        ("vllm", "written"),
        ("sglang", "scored"),
        ("llama_server", "scored"),
        ("llama_server", "written"),
    ],
)
def test_a_profile_of_a_served_pair(
    cli: Cli, arguments: list[str], tmp_path: Path, dialect: str, margins: str
) -> None:
    with serving(dialect) as large, serving(dialect, "--seed", "1") as small:  # another text
        pair = ("--large", large, "--small", f"{small}/v1")  # as OpenAI's clients want it
        ran = cli("profile", *pair, *arguments, "--margins", margins)
    assert ran.code == 0, ran.err
    profile = profiles.load(tmp_path / "p.json")
    assert profile.tokenizer_fingerprint == Fingerprint.of(Tokenizer.load(FOLDER)).hexdigest
    assert profile.large_model == large.removeprefix("http://")
    found = load_trajectories(tmp_path / "p-trajectories")
    assert [record.end for record in found.records] == ["eos"] * QUESTIONS
    assert np.allclose(found.columns["margin"], MARGIN, atol=1e-3)
    assert (found.columns["own_choice"] == 1).all()
    assert found.has_small
    assert 0 < found.columns["agrees"].mean() < 0.5


def test_margins_that_a_server_cannot_give_are_refused(cli: Cli, arguments: list[str]) -> None:
    with serving("sglang") as url:  # its scores are those after temperature
        ran = cli("profile", "--large", url, "--small", url, *arguments, "--margins", "written")
    assert ran.code == 2
    assert "--margins scored" in ran.err
