"""What needs a process of its own: pipes, Ctrl-C, what is imported at the start."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable

import pytest

from .conftest import STORY
from .simulated import ANSWER

Start = Callable[..., "subprocess.Popen[str]"]
HEAVY = ("torch", "numpy", "tokenizers", "jinja2", "msgspec", "rich", "relaygen.relay")


def test_stdout_is_clean_in_a_pipe(process: Start) -> None:
    out, err = process("run", STORY).communicate(timeout=120)
    assert out.rstrip("\n").endswith(ANSWER)
    assert "\x1b" not in out + err


def test_a_closed_pipe_is_quiet(process: Start) -> None:
    child = process("run", STORY, "--stall")
    assert child.stdout is not None
    child.stdout.read(1)
    child.stdout.close()
    child.send_signal(signal.SIGINT)  # it waits for a token that never comes
    assert child.stderr is not None
    assert "Error" not in child.stderr.read()
    assert child.wait(timeout=120) in (130, 141)


def test_a_pipe_closed_before_the_first_token_is_quiet(process: Start) -> None:
    child = process("run", STORY, "-q")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == ""
    assert child.wait(timeout=120) == 141


def test_interruption_ends_a_run_at_once(process: Start) -> None:
    child = process("run", STORY, "--stall")
    assert child.stdout is not None
    first = child.stdout.read(1)
    child.send_signal(signal.SIGINT)
    rest, err = child.communicate(timeout=120)
    assert child.returncode == 130
    assert (first + rest).endswith("\n")
    assert "Traceback" not in err
    assert "Error" not in err


@pytest.mark.parametrize("code", ["import relaygen", "from relaygen.cli import main; main(['-h'])"])
def test_the_start_imports_nothing_heavy(code: str) -> None:
    program = f"{code}\nimport sys\nprint('LOADED', *[m for m in {HEAVY!r} if m in sys.modules])"
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120
    )
    assert ran.stdout.splitlines()[-1] == "LOADED"


def test_the_module_is_the_program() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "relaygen", "--version"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert ran.stdout.startswith("relaygen 0.")


def test_characters_that_stdout_lacks_are_spelled(process: Start) -> None:
    child = process("demo", "--problems", "1", encoding_of_stdout="ascii")
    out, err = child.communicate(timeout=120)
    assert (child.returncode, err) == (0, "")
    assert "So,\\u2039 she buys" in out
