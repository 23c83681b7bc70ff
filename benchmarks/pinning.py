"""Keeps processes of this benchmark apart, each group on cores of its own (Linux)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_ENGINE = "VLLM::EngineCor"  # as the kernel cuts the name


def pin_engines(core: int = 0) -> None:
    """Puts the processes in which vLLM computes on one core, and all others on the remaining ones.

    Those are this process and whatever it has started. Left to the kernel, one that computes is
    interrupted by the others more often, the more of them are at work.
    """
    engine, rest = {core}, os.sched_getaffinity(0) - {core}
    for process in _tree(os.getpid()):
        computes = (process / "comm").read_text().strip() == _ENGINE
        for thread in (process / "task").iterdir():
            os.sched_setaffinity(int(thread.name), engine if computes else rest)


def _tree(pid: int) -> Iterator[Path]:
    process = Path("/proc", str(pid))
    yield process
    for children in process.glob("task/*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))
