from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from relaygen.cli import main

from .simulated import engine_factory

STORY = "Mia has 347 apples. She buys 58 more. How many apples does Mia have now?"


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str


Cli = Callable[..., Ran]
Recite = Callable[..., None]


@pytest.fixture
def recite(monkeypatch: pytest.MonkeyPatch) -> Recite:
    """Chooses what the simulated engines do, see `engine_factory`."""

    def choose(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr("relaygen.api.model.open_engine", engine_factory(*arguments, **options))

    return choose


@pytest.fixture
def cli(recite: Recite, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command in this process, on engines that recite."""
    recite()
    monkeypatch.delenv("RELAYGEN_DEBUG", raising=False)
    monkeypatch.setenv("NO_COLOR", "")

    def run(*arguments: str, stdin: str = "") -> Ran:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = main(arguments)
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run


@pytest.fixture
def process() -> Callable[..., subprocess.Popen[str]]:
    """Starts a command in a process of its own, on engines that recite."""

    def start(*arguments: str, encoding_of_stdout: str = "utf-8") -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.cli.simulated", *arguments]
        environment = {**os.environ, "PYTHONIOENCODING": encoding_of_stdout}
        return subprocess.Popen(
            command,
            env=environment,
            cwd=Path(__file__).parents[2],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A shell that started the tests in the background has them ignore it.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )

    return start
