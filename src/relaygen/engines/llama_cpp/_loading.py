"""From a file to llama.cpp's model and context, with errors that say what to do."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from relaygen.engines.llama_cpp import _log
from relaygen.engines.llama_cpp._capi import Handle
from relaygen.engines.llama_cpp._library import Library
from relaygen.engines.llama_cpp._memory import plan_context
from relaygen.engines.llama_cpp.options import ModelOptions
from relaygen.errors import ModelLoadError
from relaygen.tokens import GGUFFile

STEP_TOKENS = 512
_FLASH_ATTENTION_FROM = 4096
_MAX_LAYERS = 512
_LEAST_CONTEXT = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class Loaded:
    """What llama.cpp has made.

    Attributes:
        model: the weights.
        context: the state of all sequences.
        memory: the part of the context that forgets.
        flash_attention: as it was set; None: as llama.cpp chooses.
    """

    model: Handle
    context: Handle
    memory: Handle
    flash_attention: bool | None


def load(library: Library, gguf: GGUFFile, options: ModelOptions) -> Loaded:
    """Loads the weights and makes a context.

    Raises:
        ModelLoadError: llama.cpp refuses the file, or there is too little memory.
    """
    _check_plausible(gguf)
    api = library.api
    offloaded = options.gpu_layers != 0 and api.supports_gpu_offload()
    tokens, sequences = plan_context(
        gguf, options.context_tokens, options.sequences, offloaded=offloaded
    )
    model = _load_weights(library, gguf, options)
    with _freed_on_error(library, model):
        flash = options.flash_attention
        if flash is None and not offloaded and tokens <= _FLASH_ATTENTION_FROM:
            flash = False
        params = api.context_default_params()
        params.n_ctx = tokens * sequences
        params.n_batch = params.n_ubatch = STEP_TOKENS
        params.n_seq_max = sequences
        if flash is not None and not library.set_field(params, "flash_attn_type", int(flash)):
            if options.flash_attention is not None:
                raise ModelLoadError(
                    f"flash_attention is {flash}, but where llama.cpp of version "
                    f"{library.version} keeps that setting is unknown; leave it out"
                )
            flash = None
        _log.capture(api)
        context = api.init_from_model(model, params)
        if not context:
            raise ModelLoadError(
                explain(
                    gguf,
                    f"no context of {sequences} x {tokens:,} tokens can be made",
                    "give a smaller context_tokens or fewer sequences",
                )
            )
        memory = api.get_memory(context)
        if not memory:
            api.free(context)
            raise ModelLoadError(
                f"{gguf.path.name}: a model of the architecture {gguf.architecture!r} keeps no "
                "state between tokens; give a decoder-only model"
            )
    return Loaded(model=model, context=context, memory=memory, flash_attention=flash)


def explain(gguf: GGUFFile, problem: str, remedy: str = "") -> str:
    """An error message that ends with what llama.cpp itself said."""
    complaint = _log.last_complaint()
    parts = (f"{gguf.path.name}: {problem}", remedy, complaint and f"llama.cpp says: {complaint}")
    return "; ".join(part for part in parts if part)


def _check_plausible(gguf: GGUFFile) -> None:
    """Refuses what makes llama.cpp abort the whole process instead of returning an error."""
    arch = gguf.architecture
    limits: tuple[tuple[str, float, float], ...] = (
        ("block_count", 1, min(_MAX_LAYERS, len(gguf.tensors))),
        ("context_length", _LEAST_CONTEXT, math.inf),
        ("attention.layer_norm_rms_epsilon", 0.0, 1.0),
        ("attention.layer_norm_epsilon", 0.0, 1.0),
    )
    for name, least, most in limits:
        value = gguf.metadata.get(f"{arch}.{name}")
        if isinstance(value, int | float) and not least <= value <= most:
            raise ModelLoadError(
                f"{gguf.path.name}: {arch}.{name} is {value}, which is impossible here; the file is "
                "damaged: download or convert it again"
            )
    tokens = [token for token in gguf.strings("tokenizer.ggml.tokens") if token]
    if len(set(tokens)) != len(tokens):
        twice = next(token for token, count in Counter(tokens).items() if count > 1)
        raise ModelLoadError(
            f"{gguf.path.name}: its vocabulary has the token {twice!r} twice; the file is damaged: "
            "download or convert it again"
        )


def _load_weights(library: Library, gguf: GGUFFile, options: ModelOptions) -> Handle:
    api = library.api
    params = api.model_default_params()
    if options.gpu_layers is not None:
        params.n_gpu_layers = options.gpu_layers
    _log.capture(api)
    model = api.model_load_from_file(os.fsencode(gguf.path), params)
    if not model:
        raise ModelLoadError(
            explain(gguf, "llama.cpp cannot load it", "convert it again, or update xllamacpp")
        )
    with _freed_on_error(library, model):
        if api.model_has_encoder(model) or not api.model_has_decoder(model):
            raise ModelLoadError(
                f"{gguf.path.name}: a model of the architecture {gguf.architecture!r} does not "
                "write text from left to right; give a decoder-only model"
            )
    return model


@contextmanager
def _freed_on_error(library: Library, model: Handle) -> Iterator[None]:
    try:
        yield
    except BaseException:
        library.api.model_free(model)
        raise
