from __future__ import annotations

import sys

import pytest

from relaygen.engines.base import Engine
from relaygen.engines.registry import ENGINES, EngineKind, open_engine
from relaygen.engines.simulated import RandomModel
from relaygen.errors import InvalidRequestError, MissingExtraError


async def test_opens_an_engine_by_name() -> None:
    engine = open_engine("simulated", RandomModel(300), context_tokens=64)
    assert isinstance(engine, Engine)
    assert engine.capabilities().context_tokens == 64
    await engine.aclose()


def test_an_unknown_kind_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequestError, match=r"'onnx'.*hf, llama_cpp, openai_http, simulated"):
        open_engine("onnx")


@pytest.mark.parametrize("module", ["torch", pytest.param("transformers", marks=pytest.mark.hf)])
def test_a_missing_package_names_its_extra(
    module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'relaygen\[hf\]'"):
        open_engine("hf", tmp_path)


def test_a_missing_module_of_our_own_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENGINES, "lost", EngineKind("relaygen.engines.lost", "Lost", extra="hf"))
    with pytest.raises(ModuleNotFoundError):
        open_engine("lost")
