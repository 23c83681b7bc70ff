"""What the metadata of a GGUF file says of a model.

Source: the GGUF specification (ggml, ``docs/gguf.md``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relaygen.errors import ModelLoadError
from relaygen.tokens.ggml_types import FILE_TYPES

Scalar = int | float | bool | str
Value = Scalar | list[int] | list[float] | list[bool] | list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorInfo:
    """Where one tensor lies.

    Attributes:
        name: for example ``blk.0.attn_q.weight``.
        shape: elements by dimension, fastest first.
        type_name: ggml's name of the type, or ``type N`` where it is newer than this reader.
        offset: bytes from the start of the file.
        size: bytes; None for a type that this reader does not know.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    offset: int
    size: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class GGUFFile:
    """The metadata of one GGUF file.

    Attributes:
        path: the file.
        metadata: every key with its value.
        tensors: in the order of the file.
    """

    path: Path
    metadata: Mapping[str, Value] = field(repr=False)
    tensors: tuple[TensorInfo, ...] = field(repr=False)

    @property
    def architecture(self) -> str:
        """For example ``qwen3``."""
        return self.string("general.architecture") or ""

    @property
    def name(self) -> str:
        """The model's own name, else the file's."""
        return self.string("general.name") or self.path.stem

    @property
    def context_length(self) -> int | None:
        """Tokens the model was trained for."""
        return self.integer(f"{self.architecture}.context_length")

    @property
    def block_count(self) -> int | None:
        """Transformer layers."""
        return self.integer(f"{self.architecture}.block_count")

    @property
    def parameter_count(self) -> int:
        """Elements of all tensors in this file (of a split model: of this part)."""
        return sum(math.prod(tensor.shape) for tensor in self.tensors)

    @property
    def file_type(self) -> str | None:
        """The quantisation that most tensors have, for example ``Q8_0``."""
        number = self.integer("general.file_type")
        return None if number is None else FILE_TYPES.get(number, f"file type {number}")

    @property
    def chat_template(self) -> str | None:
        """The Jinja source of the chat template."""
        return self.string("tokenizer.chat_template")

    @property
    def bos_id(self) -> int | None:
        """The beginning-of-sequence token."""
        return self.integer("tokenizer.ggml.bos_token_id")

    @property
    def eos_id(self) -> int | None:
        """The end-of-sequence token."""
        return self.integer("tokenizer.ggml.eos_token_id")

    @property
    def eot_id(self) -> int | None:
        """The end-of-turn token, where the file names one apart from `eos_id`."""
        return self.integer("tokenizer.ggml.eot_token_id")

    def string(self, key: str) -> str | None:
        """The string under `key`; None if absent.

        Raises:
            ModelLoadError: it is not a string.
        """
        value = self.metadata.get(key)
        if value is None or isinstance(value, str):
            return value
        raise self._wrong(key, "a string", value)

    def integer(self, key: str) -> int | None:
        """The whole number under `key`; None if absent.

        Raises:
            ModelLoadError: it is not a whole number.
        """
        value = self.metadata.get(key)
        if value is None or (isinstance(value, int) and not isinstance(value, bool)):
            return value
        raise self._wrong(key, "a whole number", value)

    def boolean(self, key: str) -> bool | None:
        """The truth value under `key`; None if absent.

        Raises:
            ModelLoadError: it is not a truth value.
        """
        value = self.metadata.get(key)
        if value is None or isinstance(value, bool):
            return value
        raise self._wrong(key, "true or false", value)

    def strings(self, key: str) -> list[str]:
        """The strings under `key`; empty if absent.

        Raises:
            ModelLoadError: it is not an array of strings.
        """
        value = self.metadata.get(key, [])
        if isinstance(value, list) and (not value or isinstance(value[0], str)):
            return [str(item) for item in value]
        raise self._wrong(key, "an array of strings", value)

    def integers(self, key: str) -> list[int]:
        """The whole numbers under `key`; empty if absent.

        Raises:
            ModelLoadError: it is not an array of whole numbers.
        """
        value = self.metadata.get(key, [])
        if isinstance(value, list) and (not value or type(value[0]) is int):
            return [int(item) for item in value]
        raise self._wrong(key, "an array of whole numbers", value)

    def _wrong(self, key: str, expected: str, value: object) -> ModelLoadError:
        return ModelLoadError(
            f"{self.path.name}: {key} is {str(value)[:60]!r}, not {expected}; download or convert the file again"
        )
