"""How much memory a context takes, estimated before llama.cpp is asked to allocate it."""

from __future__ import annotations

import os

from relaygen.errors import ModelLoadError
from relaygen.tokens import GGUFFile

_CACHE_ELEMENT_BYTES = 2  # llama.cpp keeps keys and values in half precision by default
_MAX_SEQUENCES = 16
_DEFAULT_CONTEXT = 8192
_GIB = 1 << 30


def cache_bytes_per_token(gguf: GGUFFile) -> int:
    """Bytes of keys and values that one token takes in all layers; 0 for models without."""
    arch = gguf.architecture
    layers = gguf.block_count or 0
    heads = _by_layer(gguf, f"{arch}.attention.head_count", layers)
    kv_heads = _by_layer(gguf, f"{arch}.attention.head_count_kv", layers) or heads
    if not any(heads):
        return 0
    width = (gguf.integer(f"{arch}.embedding_length") or 0) // max(heads)
    key = gguf.integer(f"{arch}.attention.key_length") or width
    value = gguf.integer(f"{arch}.attention.value_length") or width
    return sum(kv_heads) * (key + value) * _CACHE_ELEMENT_BYTES


def plan_context(
    gguf: GGUFFile, context_tokens: int | None, sequences: int | None, *, offloaded: bool
) -> tuple[int, int]:
    """Returns tokens a sequence, and sequences, with defaults filled in.

    The default context is what the model was trained for, at most 8,192 tokens. By default there
    are as many sequences (1 to 16) as an eighth of the machine's memory can hold.

    Raises:
        ModelLoadError: the cache cannot fit into the machine's memory.
    """
    trained = gguf.context_length or _DEFAULT_CONTEXT
    tokens = context_tokens or min(trained, _DEFAULT_CONTEXT)
    each = tokens * cache_bytes_per_token(gguf)
    memory = physical_memory()
    if sequences is None:
        fitting = memory // 8 // each if each and memory else _MAX_SEQUENCES
        sequences = max(1, min(_MAX_SEQUENCES, fitting))
    # What lies on a GPU is for llama.cpp to judge.
    if memory and not offloaded and each * sequences > memory:
        raise ModelLoadError(
            f"{gguf.path.name}: {sequences} sequences of {tokens:,} tokens need "
            f"{each * sequences / _GIB:,.1f} GiB for keys and values, and this machine has "
            f"{memory / _GIB:,.1f} GiB: give a smaller context_tokens or fewer sequences"
        )
    return tokens, sequences


def physical_memory() -> int:
    """Bytes of memory of this machine; 0 where the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 0


def _by_layer(gguf: GGUFFile, key: str, layers: int) -> list[int]:
    value = gguf.metadata.get(key)
    if isinstance(value, list):
        return gguf.integers(key)
    number = gguf.integer(key)
    return [] if number is None else [number] * layers
