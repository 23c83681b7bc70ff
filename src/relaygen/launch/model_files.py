"""What a model's files say of its size, without loading it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from relaygen.errors import ModelLoadError
from relaygen.tokens import GGUFFile, read_gguf

_PART = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_BYTES = 2  # of one number in the cache, in half precision


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelFiles:
    """A model on disk.

    Attributes:
        path: a GGUF file, or a folder in transformers' format.
        form: which of the two.
        weights: bytes on disk.
        cache_per_token: bytes of keys and values of one token, in half precision.
        context_tokens: it was trained for; None: its files do not say.
    """

    path: Path
    form: Literal["gguf", "folder"]
    weights: int
    cache_per_token: int
    context_tokens: int | None


def read_model(path: Path) -> ModelFiles:
    """Looks at a model's files.

    Raises:
        ModelLoadError: there is nothing, or something else than a model.
    """
    path = path.expanduser().absolute()
    if path.is_dir():
        return _read_folder(path)
    if not path.exists():
        raise ModelLoadError(
            f"there is no model at {path}; check the path (a model of the Hugging Face Hub must be "
            "on this disk: `hf download NAME --local-dir FOLDER`, then give FOLDER)"
        )
    return _read_gguf(path)


def _read_gguf(path: Path) -> ModelFiles:
    file = read_gguf(path)
    return ModelFiles(
        path=path,
        form="gguf",
        weights=sum(part.stat().st_size for part in _parts(path)),
        cache_per_token=_gguf_cache(file),
        context_tokens=file.context_length,
    )


def _parts(path: Path) -> list[Path]:
    """The files of a split model; llama.cpp finds them by the name of the first."""
    match = _PART.search(path.name)
    if match is None:
        return [path]
    return sorted(path.parent.glob(f"{path.name[: match.start()]}-?????-of-{match[1]}.gguf"))


def _gguf_cache(file: GGUFFile) -> int:
    def number(key: str) -> int:
        return file.integer(f"{file.architecture}.{key}") or 0

    blocks, heads = number("block_count"), max(1, number("attention.head_count"))
    width = number("embedding_length") // heads
    key = number("attention.key_length") or width
    value = number("attention.value_length") or width
    of_layers = file.metadata.get(f"{file.architecture}.attention.head_count_kv", heads)
    groups = (
        sum(map(int, of_layers))
        if isinstance(of_layers, list)
        else (number("attention.head_count_kv") or heads) * blocks
    )
    return groups * (key + value) * _BYTES


def _read_folder(path: Path) -> ModelFiles:
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelLoadError(
            f"{path} has no config.json; give the folder of a model in transformers' format, or a "
            ".gguf file"
        ) from None
    except (OSError, ValueError) as error:
        raise ModelLoadError(f"{path / 'config.json'} cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise ModelLoadError(f"{path / 'config.json'} is not an object; download it again")
    files = list(path.glob("*.safetensors")) or list(path.glob("*.bin"))
    if not files:
        raise ModelLoadError(f"{path} holds no weights (*.safetensors); download the model again")
    text = config.get("text_config", config)
    return ModelFiles(
        path=path,
        form="folder",
        weights=sum(file.stat().st_size for file in files),
        cache_per_token=_folder_cache(text),
        context_tokens=_number(text, "max_position_embeddings") or None,
    )


def _folder_cache(config: Mapping[str, Any]) -> int:
    kinds = config.get("layer_types") or []
    layers = _number(config, "num_hidden_layers")
    if isinstance(kinds, list) and kinds:  # layers with a state of fixed size hold no tokens
        layers = sum("linear" not in str(k) and "mamba" not in str(k) for k in kinds)
    if latent := _number(config, "kv_lora_rank"):  # multi-head latent attention: one vector for all
        return layers * (latent + _number(config, "qk_rope_head_dim")) * _BYTES
    heads = max(1, _number(config, "num_attention_heads"))
    groups = _number(config, "num_key_value_heads") or heads
    width = _number(config, "head_dim") or _number(config, "hidden_size") // heads
    return layers * groups * width * 2 * _BYTES


def _number(config: Mapping[str, Any], key: str) -> int:
    value = config.get(key)
    return value if isinstance(value, int) else 0
