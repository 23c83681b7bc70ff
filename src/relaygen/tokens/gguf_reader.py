"""Reads the metadata of a GGUF file: strict, and without trusting any length in it.

A GGUF file often comes from a stranger, and llama.cpp aborts the process on some damaged ones. So
everything is checked here first: each length against the bytes that are left, and the end of every
tensor against the end of the file.

Source: the GGUF specification (ggml, ``docs/gguf.md``).
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path
from typing import NoReturn

from relaygen.errors import ModelLoadError
from relaygen.tokens.ggml_types import GGML_BLOCKS
from relaygen.tokens.gguf import GGUFFile, TensorInfo, Value

_AGAIN = "download or convert the file again"
_FORMATS: dict[int, str] = {
    0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d",
}  # fmt: skip
_STRING, _ARRAY = 8, 9
_MIN_KEY_VALUE, _MIN_TENSOR, _MAX_KEY, _MAX_DIMS, _MAX_ALIGNMENT = 13, 24, 65_535, 4, 1 << 20


def read_gguf(path: str | Path) -> GGUFFile:
    """Reads and checks the metadata; no tensor data is read.

    Raises:
        ModelLoadError: the file is missing, is not GGUF, is damaged, or ends too early.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            if path.stat().st_size == 0:
                raise ModelLoadError(f"{path.name}: the file is empty; {_AGAIN}")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(path, data).read()
    except OSError as error:
        raise ModelLoadError(
            f"{path}: the model file cannot be read ({error.strerror}); check the path"
        ) from error


class _Reader:
    """A cursor over the bytes of one file."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self._path = path
        self._data = data
        self._size = len(data)
        self._at = 0

    def read(self) -> GGUFFile:
        self._check_header()
        tensor_count, key_count = self._number("Q"), self._number("Q")
        self._check_count("keys", key_count, _MIN_KEY_VALUE)
        metadata: dict[str, Value] = {}
        for _ in range(key_count):
            key = self._string("a key", _MAX_KEY)
            if key in metadata:
                self._fail(f"the key {key!r} is there twice")
            metadata[key] = self._value(key, self._number("I"))
        self._check_count("tensors", tensor_count, _MIN_TENSOR)
        headers = [self._tensor_header() for _ in range(tensor_count)]
        tensors = self._place(headers, metadata.get("general.alignment", 32))
        return GGUFFile(path=self._path, metadata=metadata, tensors=tensors)

    def _check_header(self) -> None:
        magic = self._take(4)
        if magic != b"GGUF":
            raise ModelLoadError(
                f"{self._path.name}: not a GGUF file (it begins with {magic!r}); give a .gguf file"
            )
        version = self._number("I")
        if version & 0xFFFF == 0:
            self._fail("it is big-endian", "convert it on a little-endian machine")
        if version not in (2, 3):
            self._fail(f"GGUF version {version} is not supported (2 and 3 are)", "convert it again")

    def _value(self, key: str, kind: int) -> Value:
        if kind == _STRING:
            return self._string(key)
        if kind != _ARRAY:
            if kind not in _FORMATS:
                self._fail(f"{key} has the unknown value type {kind}")
            return self._scalar(_FORMATS[kind])
        item, count = self._number("I"), self._number("Q")
        if item == _STRING:
            self._check_count(f"strings in {key}", count, 8)
            return [self._string(key) for _ in range(count)]
        if item not in _FORMATS:
            self._fail(f"{key} is an array of the unknown value type {item}")
        form = _FORMATS[item]
        self._check_count(f"items in {key}", count, struct.calcsize("<" + form))
        layout = struct.Struct(f"<{count}{form}")
        return list(layout.unpack(self._take(layout.size)))

    def _tensor_header(self) -> tuple[str, tuple[int, ...], int, int]:
        name = self._string("a tensor's name", _MAX_KEY)
        dims = self._number("I")
        if not 1 <= dims <= _MAX_DIMS:
            self._fail(f"tensor {name!r} has {dims} dimensions (1 to {_MAX_DIMS} are possible)")
        shape = tuple(self._number("Q") for _ in range(dims))
        return name, shape, self._number("I"), self._number("Q")

    def _place(
        self, headers: list[tuple[str, tuple[int, ...], int, int]], alignment: Value
    ) -> tuple[TensorInfo, ...]:
        valid = type(alignment) is int and 0 < alignment <= _MAX_ALIGNMENT
        if not valid or alignment & (alignment - 1):  # type: ignore[operator]
            self._fail(f"general.alignment is {alignment!r}, not a power of two")
        assert isinstance(alignment, int)
        start = -(-self._at // alignment) * alignment
        tensors = [self._tensor(*header, start) for header in headers]
        if len({tensor.name for tensor in tensors}) != len(tensors):
            self._fail("two tensors have the same name")
        return tuple(tensors)

    def _tensor(
        self, name: str, shape: tuple[int, ...], kind: int, offset: int, start: int
    ) -> TensorInfo:
        type_name, block, block_bytes = GGML_BLOCKS.get(kind, (f"type {kind}", 1, 0))
        if 0 in shape or shape[0] % block:
            self._fail(f"tensor {name!r} of type {type_name} has the impossible shape {shape}")
        size = math.prod(shape) // block * block_bytes
        end = start + offset + size
        if end > self._size:
            self._fail(
                f"the file is cut off: it has {self._size:,} bytes, and tensor {name!r} ends at "
                f"{end:,}"
            )
        known = kind in GGML_BLOCKS
        return TensorInfo(
            name=name,
            shape=shape,
            type_name=type_name,
            offset=start + offset,
            size=size if known else None,
        )

    def _string(self, what: str, limit: int | None = None) -> str:
        length = self._number("Q")
        if limit is not None and length > limit:
            self._fail(f"{what} is {length:,} bytes long (at most {limit:,} are possible)")
        raw = self._take(length)
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._fail(f"{what} is not UTF-8: {raw[:40]!r}")

    def _number(self, form: str) -> int:
        return int.from_bytes(self._take(8 if form == "Q" else 4), "little")

    def _scalar(self, form: str) -> int | float | bool:
        layout = struct.Struct("<" + form)
        value: int | float | bool = layout.unpack(self._take(layout.size))[0]
        return value

    def _take(self, count: int) -> bytes:
        end = self._at + count
        if end > self._size:
            self._fail(
                f"the file is cut off or damaged: {count:,} bytes are expected at byte "
                f"{self._at:,}, and it has {self._size:,}"
            )
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def _check_count(self, what: str, count: int, least_bytes: int) -> None:
        if count * least_bytes > self._size - self._at:
            self._fail(f"it claims {count:,} {what}, more than the file has room for")

    def _fail(self, problem: str, remedy: str = _AGAIN) -> NoReturn:
        raise ModelLoadError(f"{self._path.name}: {problem}; {remedy}")
