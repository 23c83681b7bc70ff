"""``relaygen config``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relaygen.cli.app import run_app
from relaygen.gateway import hash_key


def test_the_example_is_good(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "example"]) == 0
    file = tmp_path / "relaygen.toml"
    text = capsys.readouterr().out
    file.write_text(text, encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "qwen3-relay" in shown
    assert "anybody may call" in shown
    assert run_app(["config", "key"]) == 0
    made = capsys.readouterr().out
    digest = re.search(r"sha256:[0-9a-f]{64}", made)
    assert digest is not None
    with_key = re.sub(r"^# (\[\[keys|name|hash|conc|req|tok)", r"\1", text, flags=re.M)
    file.write_text(with_key.replace("sha256:...", digest[0]), encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 0
    assert "keys    team" in capsys.readouterr().out


def test_a_mistake_is_one_line_with_its_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "relaygen.toml"
    file.write_text("[large]\nreplicas = []\n", encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 2
    one, other = capsys.readouterr().err.splitlines()
    assert f"{file}:1: large: give either replicas" in one
    assert "small: is missing" in other


def test_a_models_penalty_that_no_server_can_count_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "generation_config.json").write_text('{"repetition_penalty": 1.1}')
    file = tmp_path / "relaygen.toml"
    pools = "".join(
        f"[{r}]\nreplicas = ['http://127.0.0.1:{p}']\n" for r, p in (("large", 1), ("small", 2))
    )
    text = f"{pools}[relay]\ntokenizer = {str(tmp_path)!r}\n"
    file.write_text(text, encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 2
    assert "put `repetition_penalty = 1` under [relay.sampling]" in capsys.readouterr().err
    file.write_text(f"{text}sampling = {{ repetition_penalty = 1 }}\n", encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 0


def test_a_key_is_the_one_that_was_hashed(capsys: pytest.CaptureFixture[str]) -> None:
    run_app(["config", "key"])
    shown = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert hash_key(shown["key"]) == shown["hash"]


def test_a_pair_without_cues_is_told_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "relaygen.toml"
    pair = "[large]\ngguf = 'l.gguf'\n[small]\ngguf = 's.gguf'\n"
    for relay, told in (("", True), ("profile = 'demo'", False), ("policy = 'random'", False)):
        file.write_text(f"{pair}[relay]\n{relay}\n", encoding="utf-8")
        assert run_app(["config", "check", str(file)]) == 0
        assert ("relay.profile" in capsys.readouterr().out) is told
