"""RelayGen: one generation on two models; the large one writes the hard sentences.

Everything public is here, and loaded when it is first used.

Example:
    ```python
    import relaygen
    from relaygen import demo_models

    large, small = demo_models.gguf("large"), demo_models.gguf("small")
    with relaygen.SyncRelay.open(large, small, profile="demo") as relay:
        question = demo_models.problems()[0].question
        result = relay.generate(question, relaygen.Options(max_tokens=40, seed=1))
    assert result.usage.completion_tokens <= 40
    ```
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relaygen.api import (
        Model,
        Options,
        Relay,
        Stream,
        SyncRelay,
        SyncStream,
        open_model,
    )
    from relaygen.errors import RelayGenError
    from relaygen.relay.config import RelayConfig
    from relaygen.relay.cues import CuePosition, SwitchCue
    from relaygen.relay.events import Emitted
    from relaygen.relay.profile import CueProfile
    from relaygen.runner import Result, SegmentTrace, Trace
    from relaygen.types import FinishReason, ModelRole, Sampling, Stage, TokenScore, Usage

    __version__: str

__all__ = [
    "CuePosition",
    "CueProfile",
    "Emitted",
    "FinishReason",
    "Model",
    "ModelRole",
    "Options",
    "Relay",
    "RelayConfig",
    "RelayGenError",
    "Result",
    "Sampling",
    "SegmentTrace",
    "Stage",
    "Stream",
    "SwitchCue",
    "SyncRelay",
    "SyncStream",
    "TokenScore",
    "Trace",
    "Usage",
    "__version__",
    "open_model",
]

_HOMES = {
    "relaygen.api": (
        "Model",
        "Options",
        "Relay",
        "Stream",
        "SyncRelay",
        "SyncStream",
        "open_model",
    ),
    "relaygen.errors": ("RelayGenError",),
    "relaygen.relay.config": ("RelayConfig",),
    "relaygen.relay.cues": ("CuePosition", "SwitchCue"),
    "relaygen.relay.events": ("Emitted",),
    "relaygen.relay.profile": ("CueProfile",),
    "relaygen.runner": ("Result", "SegmentTrace", "Trace"),
    "relaygen.types": ("FinishReason", "ModelRole", "Sampling", "Stage", "TokenScore", "Usage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("relaygen")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'relaygen' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return __all__
