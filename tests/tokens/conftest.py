from __future__ import annotations

from pathlib import Path

import pytest

from relaygen.tokens import Tokenizer
from tests.tokens.tiny_models import train, write_gguf, write_json


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tiny")


@pytest.fixture(scope="session", params=["json", "gguf"])
def tokenizer(request: pytest.FixtureRequest, folder: Path) -> Tokenizer:
    if request.param == "json":
        return Tokenizer.load(write_json(folder / "model", train()))
    return Tokenizer.load(write_gguf(folder / "model.gguf", train(), padding=7))
