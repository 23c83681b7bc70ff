"""Where llama.cpp's library is, and what is known of the build that was found."""

from __future__ import annotations

import atexit
import ctypes
import importlib.metadata
import importlib.util
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from relaygen.engines.llama_cpp import _log
from relaygen.engines.llama_cpp._capi import Api, ContextParams
from relaygen.errors import ModelLoadError

ENVIRONMENT_VARIABLE = "RELAYGEN_LIBLLAMA"

# Where fields of the context's parameters lie, for versions that the contract suite has passed on:
# name -> (offset in bytes, default as a 32-bit integer). They have moved between versions, so a
# table is only believed if all of its defaults are found.
_FIELDS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "2026.10.11549": {
        "rope_scaling_type": (40, -1),
        "pooling_type": (44, -1),
        "attention_type": (48, -1),
        "flash_attn_type": (52, -1),
        "type_k": (104, 1),
        "type_v": (108, 1),
    },
}
_FIRST_FIELDS = (512, 2048, 512, 1)


@dataclass(frozen=True, slots=True)
class Library:
    """One loaded build of llama.cpp.

    Attributes:
        path: the file.
        version: of the xllamacpp wheel, or ``unknown`` for another build.
        tested: the contract suite has passed on this version.
        api: its functions.
        fields: byte offsets of context parameters behind the first four; empty if unknown.
    """

    path: Path
    version: str
    tested: bool
    api: Api = field(repr=False)
    fields: Mapping[str, int] = field(repr=False)

    def set_field(self, params: ContextParams, name: str, value: int) -> bool:
        """Sets a field behind the first four; returns False where its place is unknown."""
        offset = self.fields.get(name)
        if offset is None:
            return False
        ctypes.c_int32.from_buffer(params, offset).value = value
        return True


_loaded: dict[Path, Library] = {}


def load_library(path: str | Path | None = None) -> Library:
    """Loads llama.cpp, once a process.

    Args:
        path: the file; None: what ``RELAYGEN_LIBLLAMA`` names, else the one in xllamacpp's wheel.

    Raises:
        ModelLoadError: there is no library, or it has another layout than llama.cpp's.
    """
    found, version = _find(path)
    library = _loaded.get(found)
    if library is None:
        api = Api(str(found))
        _log.capture(api)
        atexit.register(_log.release, api)
        api.backend_init()
        fields = _known_fields(api, found, version)
        library = Library(found, version, version in _FIELDS, api, fields)
        if not library.tested:
            _log.logger.warning(
                "%s: llama.cpp of version %s, which RelayGen has not been tested on (tested: "
                "xllamacpp %s); flash attention stays as the library chooses",
                found,
                version,
                ", ".join(_FIELDS),
            )
        _loaded[found] = library
    return library


def _find(path: str | Path | None) -> tuple[Path, str]:
    named = path or os.environ.get(ENVIRONMENT_VARIABLE)
    if named:
        file = Path(named).expanduser().resolve()
        if not file.is_file():
            source = "the library" if path else ENVIRONMENT_VARIABLE
            raise ModelLoadError(f"{source} is {str(named)!r}, which is not a file; correct it")
        return file, "unknown"
    spec = importlib.util.find_spec("xllamacpp")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    for folder in folders:
        for pattern in ("xllamacpp*.so", "xllamacpp*.pyd", "xllamacpp*.dylib"):
            for file in sorted(Path(folder).glob(pattern)):
                return file.resolve(), importlib.metadata.version("xllamacpp")
    raise ModelLoadError(
        f"llama.cpp's library was not found: pip install 'xllamacpp=={next(iter(_FIELDS))}', or "
        f"let {ENVIRONMENT_VARIABLE} point to a libllama of your own"
    )


def _known_fields(api: Api, path: Path, version: str) -> Mapping[str, int]:
    defaults = api.context_default_params()
    first = (defaults.n_ctx, defaults.n_batch, defaults.n_ubatch, defaults.n_seq_max)
    if first != _FIRST_FIELDS:
        raise ModelLoadError(
            f"{path}: the context parameters of this build of llama.cpp begin with {first} instead "
            f"of {_FIRST_FIELDS}: its layout is unknown; use xllamacpp {next(iter(_FIELDS))}"
        )
    table = _FIELDS.get(version, {})
    raw = bytes(defaults)
    if any(struct.unpack_from("<i", raw, at)[0] != value for at, value in table.values()):
        raise ModelLoadError(
            f"{path}: xllamacpp says it is {version}, but the layout of its llama.cpp is another; "
            "reinstall xllamacpp"
        )
    return {name: at for name, (at, _) in table.items()}
