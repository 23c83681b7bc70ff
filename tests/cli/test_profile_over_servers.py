"""``relaygen profile`` with both models behind simulated servers, each a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from subprocess import PIPE
from threading import Thread

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


class _Turnstile(BaseHTTPRequestHandler):
    """Lets nobody in, and says what key was shown."""

    def do_GET(self) -> None:
        body = json.dumps({"error": f"shown: {self.headers['Authorization']}"}).encode()
        self.send_response(401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Not to stderr."""


@pytest.fixture
def turnstile() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Turnstile) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_each_server_may_have_a_key_of_its_own(
    cli: Cli, arguments: list[str], turnstile: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LARGE_KEY", "of-the-large-one")
    monkeypatch.setenv("SMALL_KEY", "of-the-small-one")
    own, both = ("--small-api-key-env", "SMALL_KEY"), ("--api-key-env", "LARGE_KEY")
    for large, keys, shown in (
        (turnstile, (*both, *own), "of-the-large-one"),
        (demo_models.gguf("large"), (*both, *own), "of-the-small-one"),
        (demo_models.gguf("large"), both, "of-the-large-one"),
    ):
        ran = cli("profile", "--large", str(large), "--small", turnstile, *arguments, *keys)
        assert ran.code == 1
        assert f"shown: Bearer {shown}" in ran.err
        assert "--small-api-key-env" in ran.err
