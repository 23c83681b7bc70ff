"""Options that contradict each other, the model files, or the machine."""

from __future__ import annotations

from relaygen.errors import InvalidRequestError
from relaygen.launch.machine import Machine
from relaygen.launch.model_files import ModelFiles
from relaygen.launch.options import Engine, LaunchOptions


def choose_engine(asked: Engine, large: ModelFiles, small: ModelFiles) -> Engine:
    """The engine for these files: llama.cpp for GGUF files, vLLM for folders.

    Raises:
        InvalidRequestError: the files are of different kinds, or not of the engine's kind.
    """
    if large.form != small.form:
        raise InvalidRequestError(
            f"one model is a GGUF file and the other a folder ({large.path}, {small.path}); one "
            "engine runs both, so give two of a kind",
            param="small",
        )
    fitting = Engine.LLAMA_CPP if large.form == "gguf" else Engine.VLLM
    if asked is Engine.AUTO:
        return fitting
    if (asked is Engine.LLAMA_CPP) != (fitting is Engine.LLAMA_CPP):
        needed = "GGUF files" if asked is Engine.LLAMA_CPP else "folders in transformers' format"
        raise InvalidRequestError(
            f"--engine {asked} runs {needed}, and {large.path} is not one; give another --engine or "
            "other models",
            param="engine",
        )
    return asked


def check_options(options: LaunchOptions, engine: Engine, machine: Machine) -> None:
    """Refuses what the engine or the machine cannot do.

    Raises:
        InvalidRequestError: names the option.
    """
    is_llama = engine is Engine.LLAMA_CPP
    for name, given, possible in (
        ("tensor_parallel", options.tensor_parallel != 1, not is_llama),
        ("dtype", options.dtype is not None, not is_llama),
        ("gpu_layers", options.gpu_layers is not None, is_llama),
    ):
        if given and not possible:
            flag = "--" + name.replace("_", "-")
            raise InvalidRequestError(f"{flag} means nothing to {engine}; leave it out", param=name)
    if options.tensor_parallel > max(1, len(machine.gpus)):
        raise InvalidRequestError(
            f"--tensor-parallel {options.tensor_parallel} needs as many GPUs, and there are "
            f"{len(machine.gpus)}; see nvidia-smi and CUDA_VISIBLE_DEVICES",
            param="tensor_parallel",
        )
