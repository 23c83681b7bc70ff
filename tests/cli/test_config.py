"""``relaygen config``."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from relaygen import examples
from relaygen.cli.app import run_app
from relaygen.gateway import hash_key
from relaygen.settings import load


def example(name: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """What `relaygen config example` prints, as a file."""
    assert run_app(["config", "example", name]) == 0
    file = folder / f"relaygen{Path(name).suffix}"
    file.write_text(capsys.readouterr().out, encoding="utf-8")
    return file


@pytest.mark.parametrize("name", examples.available())
def test_every_example_is_good(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = example(name, tmp_path, capsys)
    assert f"--config {file.name}" in file.read_text(encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 0
    shown = capsys.readouterr().out
    assert "qwen3-relay" in shown
    assert "none: set relay.profile" not in shown


def test_the_two_spellings_of_an_example_say_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [example(f"vllm.{kind}", tmp_path, capsys) for kind in ("toml", "yaml")]
    toml, yaml = (load(file).model_dump() for file in files)
    assert toml == yaml


def test_the_example_by_itself_is_one_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["config", "example"]) == 0
    assert capsys.readouterr().out in map(examples.text, examples.available())
    assert run_app(["config", "example", "nope"]) == 2
    assert "production.toml" in capsys.readouterr().err


def test_a_made_key_goes_into_an_example(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = example("production.toml", tmp_path, capsys)
    assert run_app(["config", "key"]) == 0
    made = dict(line.split() for line in capsys.readouterr().out.splitlines())
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"sha256:0{64}", made["hash"], text), encoding="utf-8")
    assert run_app(["config", "check", str(file)]) == 0
    assert "keys    team, nightly-jobs" in capsys.readouterr().out


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
