"""Models and machines for plans: only their sizes count."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from relaygen.launch.gpus import Gpu
from relaygen.launch.machine import Machine
from relaygen.launch.memory import GIB
from relaygen.launch.model_files import ModelFiles
from relaygen.launch.options import LaunchOptions
from relaygen.launch.plan import LaunchPlan, make_plan

Form = Literal["gguf", "folder"]


def model(name: str, *, gib: float, form: Form = "folder", kib: int, tokens: int) -> ModelFiles:
    return ModelFiles(
        path=Path("/models") / (f"{name}.gguf" if form == "gguf" else name),
        form=form,
        weights=int(gib * GIB),
        cache_per_token=kib * 1024,
        context_tokens=tokens,
    )


def large(form: Form = "folder") -> ModelFiles:
    """As large as Qwen3-32B in four bits."""
    return model("qwen3-32b", gib=18, form=form, kib=256, tokens=40_960)


def small(form: Form = "folder") -> ModelFiles:
    """As large as Qwen3-1.7B."""
    return model("qwen3-1.7b", gib=3.2, form=form, kib=112, tokens=40_960)


def gpus(count: int, *, gib: int = 80) -> tuple[Gpu, ...]:
    return tuple(
        Gpu(index=str(i), uuid=f"GPU-{i}", total=gib * GIB, free=gib * GIB) for i in range(count)
    )


def machine(**changes: Any) -> Machine:
    usual: dict[str, Any] = {
        "gpus": (),
        "use_gpus": True,
        "memory": 128 * GIB,
        "cores": 16,
        "python": "/venv/bin/python",
        "server_python": "/servers/bin/python",
        "llama_server": None,
        "ports": (4001, 4002),
    }
    return Machine(**usual | changes)


def plan(
    form: Form = "folder",
    *,
    on: Machine | None = None,
    draft_files: ModelFiles | None = None,
    **options: Any,
) -> LaunchPlan:
    big, little = large(form), small(form)
    asked = LaunchOptions(large=big.path, small=little.path, **options)
    return make_plan(asked, large=big, small=little, draft=draft_files, machine=on or machine())


def flag(argv: tuple[str, ...], name: str) -> str:
    """The value of a flag; the last one wins, as in the servers."""
    at = len(argv) - 1 - argv[::-1].index(name)
    return argv[at + 1]


def commands(made: LaunchPlan) -> list[tuple[str, ...]]:
    """Command lines of the large and of the small server."""
    return [service.command.argv for wave in made.waves for service in wave]
