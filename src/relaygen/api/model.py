"""One loaded model: its engine, its tokenizer, and what its files say about sampling."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from relaygen.engines.base import Engine
from relaygen.engines.llama_cpp import ModelOptions
from relaygen.engines.registry import open_engine
from relaygen.errors import InvalidRequestError, ModelLoadError
from relaygen.tokens import Tokenizer, read_gguf
from relaygen.types import Sampling

FALLBACK_SAMPLING = Sampling(temperature=0.6, top_k=20, top_p=0.95)
"""For models whose files are silent: what Qwen3 and R1 recommend for reasoning.

Source: the models' cards; the paper uses the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """A model that can write.

    Attributes:
        name: for messages and traces.
        engine: open; whoever opened it closes it.
        tokenizer: of the same file or folder.
        sampling: the model's own defaults.
    """

    name: str
    engine: Engine
    tokenizer: Tokenizer
    sampling: Sampling


def open_model(
    path: str | Path,
    *,
    context_tokens: int | None = None,
    threads: int | None = None,
    gpu_layers: int | None = None,
    sequences: int | None = None,
    tokenizer: Tokenizer | None = None,
) -> Model:
    """Loads a GGUF file (llama.cpp), or a folder in transformers' format (extra ``hf``).

    Args:
        path: a ``.gguf`` file, or a folder with ``config.json`` and safetensors.
        context_tokens: prompt plus generation that a sequence can hold; None: the model's own, at
            most 8,192 for a GGUF file.
        threads: CPU threads; None lets the engine choose.
        gpu_layers: layers that llama.cpp puts on a GPU, if its library has one; None: all that
            fit.
        sequences: generations that run at once or stay cached; each takes memory for a whole
            context. None lets the engine choose by the memory there is.
        tokenizer: of the same file, where it has been read already.

    Raises:
        ModelLoadError: missing, damaged, unknown, or too large for this machine.
        TokenizerError: the tokenizer cannot be read.
        MissingExtraError: a folder, and ``relaygen[hf]`` is not installed.
    """
    path = Path(path)
    tokenizer = tokenizer or load_tokenizer(path)
    sampling = default_sampling(path)
    if path.is_dir():
        more = {} if sequences is None else {"cached_sequences": sequences}
        engine = open_engine("hf", path, context_tokens=context_tokens, threads=threads, **more)
    else:
        options = ModelOptions(
            context_tokens=context_tokens,
            sequences=sequences,
            gpu_layers=gpu_layers,
            decode_threads=threads,
            read_threads=threads,
        )
        engine = open_engine("llama_cpp", path, options)
    return Model(
        name=path.stem if path.is_file() else path.name,
        engine=engine,
        tokenizer=tokenizer,
        sampling=sampling,
    )


def load_tokenizer(path: str | Path) -> Tokenizer:
    """Reads the tokenizer of a model and nothing else: quick also for a file of 40 GB.

    Raises:
        ModelLoadError: the file is missing or damaged.
        TokenizerError: the tokenizer cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise ModelLoadError(f"there is no model at {path}: check the path")
    if path.is_file() and path.suffix.lower() != ".gguf":
        raise ModelLoadError(
            f"{path} is no .gguf file: give a GGUF file, or a folder in transformers' format"
        )
    return Tokenizer.load(path)


def default_sampling(path: Path) -> Sampling:
    """The defaults in ``generation_config.json`` or in a GGUF's ``general.sampling.*``.

    Raises:
        ModelLoadError: the file holds values that are no sampling parameters.
    """
    found = _from_folder(path) if path.is_dir() else _from_gguf(path)
    if not found:
        return FALLBACK_SAMPLING
    try:
        return replace(Sampling(), **found)
    except (InvalidRequestError, TypeError) as error:
        raise ModelLoadError(f"{path}: its default sampling is not usable: {error}") from error


_NAMES = {
    "temperature": ("temperature", "temp"),
    "top_k": ("top_k", "top_k"),
    "top_p": ("top_p", "top_p"),
    "min_p": ("min_p", "min_p"),
    "repetition_penalty": ("repetition_penalty", "penalty_repeat"),
}
"""Our name: (transformers' name, GGUF's name after ``general.sampling.``)."""


def _from_folder(folder: Path) -> dict[str, Any]:
    file = folder / "generation_config.json"
    if not file.exists():
        return {}
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{file} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ModelLoadError(f"{file} holds no JSON object")
    if data.get("do_sample") is False:
        return {"temperature": 0.0}
    return {ours: data[hf] for ours, (hf, _) in _NAMES.items() if data.get(hf) is not None}


def _from_gguf(path: Path) -> dict[str, Any]:
    metadata = read_gguf(path).metadata
    values = {ours: metadata.get(f"general.sampling.{name}") for ours, (_, name) in _NAMES.items()}
    return {
        ours: value
        for ours, value in values.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
