"""What a figure was measured on: hardware, versions, commit. Every results file carries it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def environment() -> dict[str, Any]:
    """Hardware, versions and commit of this run."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {
            name: _version(name)
            for name in (
                *("xllamacpp", "torch", "transformers", "numpy"),
                *("aiohttp", "uvicorn", "uvloop"),
            )
        },
        "commit": _commit(),
    }


def write_results(name: str, kind: str, seed: int | None, figures: dict[str, Any]) -> Path:
    """Writes ``results/<name>.json``; `kind` is "measured" or "simulated"."""
    assert kind in ("measured", "simulated")
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    content = {"kind": kind, "seed": seed, "environment": environment(), "figures": figures}
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return path


def keep_results(name: str, seed: int, figures: dict[str, Any], *, quick: bool) -> None:
    """Writes what was measured and says where, unless the run was a quick one."""
    if quick:
        print("a quick run: its figures are not kept")
    else:
        print(write_results(name, "measured", seed, figures))


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str:
    ask = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    done = subprocess.run(ask, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    found = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    return f"{found[0] if found else platform.processor()}{' avx512' if 'avx512f' in flags else ''}"
