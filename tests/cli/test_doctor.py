"""``relaygen doctor`` on the embedded pair, and on files that do not fit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from relaygen import demo_models
from relaygen.errors import MissingExtraError, ModelLoadError

from .conftest import Cli
from .simulated import engine_factory

LARGE, SMALL = str(demo_models.gguf("large")), str(demo_models.gguf("small"))


def _by_name(out: str) -> dict[str, dict[str, object]]:
    return {check["name"]: check for check in json.loads(out)["checks"]}


def test_everything_that_should_work_does(cli: Cli) -> None:
    ran = cli("doctor", "--json")
    assert ran.code == 0
    assert json.loads(ran.out)["ok"] is True
    checks = _by_name(ran.out)
    assert {c["status"] for c in checks.values()} == {"ok"}
    for name in ("packages", "tokenizers", "chat template", "engine llama_cpp, small model"):
        assert name in checks
    text = cli("doctor").out
    assert "<think> ... </think>" in text
    assert "everything that should work does" in text


def test_an_extra_that_is_missing_is_no_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    real = engine_factory()

    def open_engine(kind: str, path: Path, *rest: object, **options: object) -> object:
        if kind == "hf":
            raise MissingExtraError("the hf engine needs torch: pip install 'relaygen[hf]'")
        return real(kind, path)

    monkeypatch.setattr("relaygen.api.model.open_engine", open_engine)
    ran = cli("doctor")
    assert ran.code == 0
    assert "note  engine hf: not installed" in ran.out
    assert "pip install 'relaygen[hf]'" in ran.out


def test_an_engine_that_fails_is_a_failure(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def open_engine(*arguments: object, **options: object) -> None:
        raise ModelLoadError("llama.cpp's library was not found")

    monkeypatch.setattr("relaygen.api.model.open_engine", open_engine)
    ran = cli("doctor")
    assert ran.code == 1
    assert "FAIL  engine llama_cpp: llama.cpp's library was not found" in ran.out
    assert "everything that should work" not in ran.out


def test_models_that_are_no_pair(cli: Cli, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(Path(SMALL).read_bytes()[:50_000])
    ran = cli("doctor", "--large", LARGE, "--small", str(damaged), "--json")
    assert ran.code == 1
    assert _by_name(ran.out)["small model"]["status"] == "fail"
    assert cli("doctor", "--large", LARGE).code == 2


def test_a_given_pair_is_looked_at(cli: Cli) -> None:
    ran = cli("doctor", "--large", LARGE, "--small", SMALL, "--json")
    assert ran.code == 0
    assert _by_name(ran.out)["engine llama_cpp, large model"]["facts"] == {"context_tokens": 2048}
