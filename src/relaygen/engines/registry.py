"""Which engines there are, and where they live. Nothing is imported before it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from relaygen.engines.base import Engine
from relaygen.errors import InvalidRequestError, MissingExtraError


@dataclass(frozen=True, slots=True)
class EngineKind:
    """Where an engine is made.

    Attributes:
        module: to import.
        factory: a callable in it that returns an `Engine`.
        extra: the packaging extra that brings what it needs; empty where the core does.
    """

    module: str
    factory: str
    extra: str = ""


ENGINES: dict[str, EngineKind] = {
    "simulated": EngineKind("relaygen.engines.simulated", "SimulatedEngine"),
    "llama_cpp": EngineKind("relaygen.engines.llama_cpp", "LlamaCppEngine"),
    "openai_http": EngineKind("relaygen.engines.openai_http", "OpenAIHTTPEngine"),
    "hf": EngineKind("relaygen.engines.hf", "HfEngine", extra="hf"),
}


def open_engine(kind: str, /, *args: Any, **options: Any) -> Engine:
    """Opens an engine by the name of its kind; arguments go to the engine.

    Raises:
        InvalidRequestError: there is no such kind.
        MissingExtraError: its packages are not installed.
        ModelLoadError: the model cannot be loaded.
    """
    if kind not in ENGINES:
        raise InvalidRequestError(
            f"there is no engine {kind!r}; there are {', '.join(sorted(ENGINES))}", param="engine"
        )
    found = ENGINES[kind]
    try:
        factory = getattr(import_module(found.module), found.factory)
        return cast(Engine, factory(*args, **options))
    except ModuleNotFoundError as error:
        # A missing module of our own is a bug, not an extra that somebody has not installed.
        if not found.extra or (error.name or "").startswith("relaygen"):
            raise
        raise MissingExtraError(
            f"the {kind} engine needs {error.name}: pip install 'relaygen[{found.extra}]'"
        ) from error
