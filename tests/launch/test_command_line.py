"""``relaygen launch`` as one types it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from relaygen.cli import main
from relaygen.demo_models import gguf


@pytest.fixture(autouse=True)
def _no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["launch", *arguments]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_a_dry_run_prints_everything(capsys: pytest.CaptureFixture[str]) -> None:
    code = main(["launch", "--dry-run", "--port", "9001", "--large-flag", "--batch-size 64"])
    told = capsys.readouterr()
    assert code == 0
    assert told.err == ""
    assert told.out.count("--batch-size 64") == 1
    assert 'dialect = "llama_server"' in told.out
    assert "port = 9001" in told.out
    assert 'profile = "demo"' in told.out
    assert "relaygen serve --config" in told.out


def test_flags_after_two_dashes_go_to_both(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["launch", "--dry-run", "--", "--ubatch-size", "64"]) == 0
    assert capsys.readouterr().out.count("--ubatch-size 64") == 2


def test_a_value_after_two_dashes_stays_one_word(capsys: pytest.CaptureFixture[str]) -> None:
    value = '{"temperature": 0.5}'
    assert main(["launch", "--dry-run", "--", "--override-generation-config", value]) == 0
    assert capsys.readouterr().out.count(f"--override-generation-config '{value}'") == 2


def test_bad_input(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    nowhere = str(tmp_path / "nothing.gguf")
    assert "without --small" in refused(capsys, "--large", nowhere)
    both = ("--large", nowhere, "--small", nowhere)
    assert "there is no model at" in refused(capsys, *both)
    here = ("--large", str(gguf("large")), "--small", str(gguf("small")))
    assert "a relay needs cues" in refused(capsys, *here)
    assert "'--engine': 'foo' is not one of 'auto'" in refused(capsys, "--engine", "foo")
    assert "no cue profile 'qwne3'" in refused(capsys, "--profile", "qwne3")
    assert "'model.gguf' is not a flag" in refused(capsys, "model.gguf")
    assert "cannot be split into words" in refused(capsys, "--large-flag", "--x 'y")
    assert "without --large-draft-method" in refused(capsys, "--large-draft", nowhere)
    assert "cannot be run" in refused(capsys, "--engine", "vllm", "--python", nowhere)


def test_a_port_in_use(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["launch", "--port", port]) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in capsys.readouterr().err
