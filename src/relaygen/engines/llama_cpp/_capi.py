"""llama.cpp's C API, as far as the engine uses it: structs and functions, and nothing else.

Four structs pass by value. Two of them (the parameters of a model and of a context) grow with
almost every release, at their end and in their middle; both are declared larger than they are,
which every calling convention in use allows, and only fields named here are touched. The batch has
been stable for years, and the parameters of a sampler chain are one flag.

Source: ``include/llama.h`` of llama.cpp.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, c_bool, c_char_p, c_float, c_int8, c_int32, c_size_t, c_uint32, c_void_p
from typing import Any

from relaygen.errors import ModelLoadError

Handle = int
"""The address of an object of llama.cpp's."""


class Batch(ctypes.Structure):
    """``llama_batch``: tokens with their positions and sequences, and whose logits are wanted."""

    _fields_ = (
        ("n_tokens", c_int32),
        ("token", POINTER(c_int32)),
        ("embd", c_void_p),
        ("pos", POINTER(c_int32)),
        ("n_seq_id", POINTER(c_int32)),
        ("seq_id", POINTER(c_void_p)),
        ("logits", POINTER(c_int8)),
    )


class ModelParams(ctypes.Structure):
    """``llama_model_params``, of which one field is set; the defaults map the file into memory."""

    _fields_ = (
        ("devices", c_void_p),
        ("tensor_buft_overrides", c_void_p),
        ("n_gpu_layers", c_int32),
        ("_rest", ctypes.c_uint8 * 492),
    )


class ContextParams(ctypes.Structure):
    """``llama_context_params``: the first four fields; others by `Library.fields` alone."""

    _fields_ = (
        ("n_ctx", c_uint32),
        ("n_batch", c_uint32),
        ("n_ubatch", c_uint32),
        ("n_seq_max", c_uint32),
        ("_rest", ctypes.c_uint8 * 496),
    )


class SamplerChainParams(ctypes.Structure):
    """``llama_sampler_chain_params``."""

    _fields_ = (("no_perf", c_bool),)


LogCallback = ctypes.CFUNCTYPE(None, ctypes.c_int, c_char_p, c_void_p)


class Api:
    """The functions. Those that may take long release the GIL; the quick ones keep it.

    Names are llama.h's without their ``llama_``.
    """

    def __init__(self, path: str) -> None:
        """Binds the library at `path`.

        Raises:
            ModelLoadError: the file cannot be loaded, or lacks a function.
        """
        try:
            self._releasing = ctypes.CDLL(path)
            self._holding = ctypes.PyDLL(path)
        except OSError as error:
            raise ModelLoadError(
                f"{path}: llama.cpp's library cannot be loaded ({error}); reinstall xllamacpp, or "
                "let RELAYGEN_LIBLLAMA point to another build"
            ) from error
        self._path = path
        long, quick = self._long, self._quick

        self.backend_init: Callable[[], None] = long("backend_init", None)
        self.log_set: Callable[[Any, None], None] = long("log_set", None, c_void_p, c_void_p)
        self.supports_gpu_offload: Callable[[], bool] = quick("supports_gpu_offload", c_bool)
        self.print_system_info: Callable[[], bytes] = long("print_system_info", c_char_p)

        self.model_default_params: Callable[[], ModelParams] = quick(
            "model_default_params", ModelParams
        )
        self.model_load_from_file: Callable[[bytes, ModelParams], Handle | None] = long(
            "model_load_from_file", c_void_p, c_char_p, ModelParams
        )
        self.model_free: Callable[[Handle], None] = long("model_free", None, c_void_p)
        self.model_get_vocab: Callable[[Handle], Handle] = quick(
            "model_get_vocab", c_void_p, c_void_p
        )
        self.model_n_params: Callable[[Handle], int] = quick(
            "model_n_params", ctypes.c_uint64, c_void_p
        )
        self.model_has_decoder: Callable[[Handle], bool] = quick(
            "model_has_decoder", c_bool, c_void_p
        )
        self.model_has_encoder: Callable[[Handle], bool] = quick(
            "model_has_encoder", c_bool, c_void_p
        )
        self.vocab_n_tokens: Callable[[Handle], int] = quick("vocab_n_tokens", c_int32, c_void_p)

        self.context_default_params: Callable[[], ContextParams] = quick(
            "context_default_params", ContextParams
        )
        self.init_from_model: Callable[[Handle, ContextParams], Handle | None] = long(
            "init_from_model", c_void_p, c_void_p, ContextParams
        )
        self.free: Callable[[Handle], None] = long("free", None, c_void_p)
        self.n_ctx_seq: Callable[[Handle], int] = quick("n_ctx_seq", c_uint32, c_void_p)
        self.n_batch: Callable[[Handle], int] = quick("n_batch", c_uint32, c_void_p)
        self.n_seq_max: Callable[[Handle], int] = quick("n_seq_max", c_uint32, c_void_p)
        self.set_n_threads: Callable[[Handle, int, int], None] = quick(
            "set_n_threads", None, c_void_p, c_int32, c_int32
        )
        self.set_abort_callback: Callable[[Handle, Any, Any], None] = quick(
            "set_abort_callback", None, c_void_p, c_void_p, c_void_p
        )
        self.decode: Callable[[Handle, Batch], int] = long("decode", c_int32, c_void_p, Batch)
        # Waits for a GPU to finish, so it must not hold the GIL.
        self.get_logits_ith: Callable[[Handle, int], Handle | None] = long(
            "get_logits_ith", c_void_p, c_void_p, c_int32
        )

        self.get_memory: Callable[[Handle], Handle | None] = quick("get_memory", c_void_p, c_void_p)
        self.memory_seq_rm: Callable[[Handle, int, int, int], bool] = quick(
            "memory_seq_rm", c_bool, c_void_p, c_int32, c_int32, c_int32
        )
        self.memory_seq_pos_min: Callable[[Handle, int], int] = quick(
            "memory_seq_pos_min", c_int32, c_void_p, c_int32
        )

        self.sampler_chain_init: Callable[[SamplerChainParams], Handle] = quick(
            "sampler_chain_init", c_void_p, SamplerChainParams
        )
        self.sampler_chain_add: Callable[[Handle, Handle], None] = quick(
            "sampler_chain_add", None, c_void_p, c_void_p
        )
        self.sampler_init_dist: Callable[[int], Handle] = quick(
            "sampler_init_dist", c_void_p, c_uint32
        )
        self.sampler_init_top_k: Callable[[int], Handle] = quick(
            "sampler_init_top_k", c_void_p, c_int32
        )
        self.sampler_init_top_p: Callable[[float, int], Handle] = quick(
            "sampler_init_top_p", c_void_p, c_float, c_size_t
        )
        self.sampler_init_min_p: Callable[[float, int], Handle] = quick(
            "sampler_init_min_p", c_void_p, c_float, c_size_t
        )
        self.sampler_init_temp: Callable[[float], Handle] = quick(
            "sampler_init_temp", c_void_p, c_float
        )
        self.sampler_sample: Callable[[Handle, Handle, int], int] = long(
            "sampler_sample", c_int32, c_void_p, c_void_p, c_int32
        )
        self.sampler_free: Callable[[Handle], None] = quick("sampler_free", None, c_void_p)

    def _long(self, name: str, result: Any, *arguments: Any) -> Any:
        return self._bind(self._releasing, name, result, arguments)

    def _quick(self, name: str, result: Any, *arguments: Any) -> Any:
        return self._bind(self._holding, name, result, arguments)

    def _bind(
        self, library: ctypes.CDLL, name: str, result: Any, arguments: tuple[Any, ...]
    ) -> Any:
        try:
            function = getattr(library, "llama_" + name)
        except AttributeError:
            raise ModelLoadError(
                f"{self._path}: this build of llama.cpp lacks llama_{name}; it is too old or too "
                "new for this version of relaygen"
            ) from None
        function.restype = result
        function.argtypes = arguments
        return function
