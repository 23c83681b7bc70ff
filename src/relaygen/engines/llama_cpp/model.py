"""One model with its context: evaluates tokens of several sequences, and takes them back."""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from relaygen.engines.llama_cpp._batch import BatchArrays, Piece
from relaygen.engines.llama_cpp._capi import Handle
from relaygen.engines.llama_cpp._library import load_library
from relaygen.engines.llama_cpp._loading import explain, load
from relaygen.engines.llama_cpp.options import ModelOptions
from relaygen.engines.llama_cpp.threads import ReadingThreads, default_threads, is_tiny
from relaygen.errors import EngineError
from relaygen.tokens import read_gguf

Logits = npt.NDArray[np.float32]

_OUTPUT_FLOATS = 8_000_000  # logits of one step, at most: 32 MB
_LEAST_OUTPUTS = 16
_NO_ROOM, _ABORTED = 1, 2


class LlamaModel:
    """Not thread-safe, except for `interrupt`.

    Attributes:
        gguf: the file's metadata.
        library: llama.cpp.
        vocab_size: ids are in ``range(vocab_size)``; the width of `logits`.
        parameters: number of weights.
        context_tokens: that each sequence can hold.
        sequences: how many there are; their ids count from 0.
        step_tokens: most tokens in one `evaluate`.
        step_outputs: most outputs that one `evaluate` should have, to bound the memory.
        decode_threads: for a step of one token.
        read_threads: for a step of several, at most.
        flash_attention: None: as llama.cpp chooses.
        can_rewind: whether a sequence can forget a part.
        tokens_evaluated: since the model was loaded.
    """

    def __init__(self, path: str | Path, options: ModelOptions) -> None:
        """Loads the model.

        Raises:
            ModelLoadError: the file is missing, damaged or of an unknown kind; the library is
                missing or unknown; there is too little memory.
        """
        self.gguf = read_gguf(path)
        self.library = load_library(options.library)
        self._api = api = self.library.api
        self._loaded = loaded = load(self.library, self.gguf, options)
        self._closed = False
        self._context = loaded.context
        self.flash_attention = loaded.flash_attention
        self.vocab_size = api.vocab_n_tokens(api.model_get_vocab(loaded.model))
        self.parameters = api.model_n_params(loaded.model)
        self.context_tokens = api.n_ctx_seq(loaded.context)
        self.sequences = api.n_seq_max(loaded.context)
        self.step_tokens = api.n_batch(loaded.context)
        self.step_outputs = max(_LEAST_OUTPUTS, _OUTPUT_FLOATS // self.vocab_size)
        decode, read = default_threads(self.parameters)
        self.decode_threads = options.decode_threads or decode
        self.read_threads = options.read_threads or read
        watch = options.read_threads is None and is_tiny(self.parameters)
        self._reading = ReadingThreads(self.read_threads, watch=watch)
        self._read_threads_set = 0
        # llama.cpp asks before every operation whether to stop. Python would be too slow to answer,
        # and the C library's strlen will do: 0 for an empty string, more for another.
        self._stop = ctypes.create_string_buffer(2)
        api.set_abort_callback(loaded.context, _address_of_strlen(), ctypes.addressof(self._stop))
        self._batch = BatchArrays(self.step_tokens)
        self._views: dict[Handle, Logits] = {}
        self.can_rewind = self._probe_rewind()
        self.tokens_evaluated = 0

    def _probe_rewind(self) -> bool:
        """Recurrent and hybrid models refuse to forget a part of a sequence."""
        self.tokens_evaluated = 0
        self.evaluate([Piece(0, 0, (0, 0, 0), 1)])
        kept = self._api.memory_seq_rm(self._loaded.memory, 0, 1, -1)
        self.clear(0)
        return bool(kept)

    def evaluate(self, pieces: Sequence[Piece]) -> list[int]:
        """Evaluates up to `step_tokens` tokens in one call.

        Args:
            pieces: by ascending sequence, at most one a sequence.

        Returns:
            for each piece the index of its first output, for `logits`; its others follow.

        Raises:
            InterruptedError: `interrupt` was called; what the sequences hold is undefined.
            EngineError: llama.cpp failed; what the sequences hold is undefined.
        """
        count, firsts = self._batch.fill(pieces)
        if count == 1:
            code = self._api.decode(self._context, self._batch.batch)
        else:
            code = self._read(count, len(pieces))
        if code == 0:
            self.tokens_evaluated += count
            return firsts
        if code == _ABORTED:
            self._stop[0] = b"\0"
            raise InterruptedError
        reason = "there is no room in its context" if code == _NO_ROOM else f"its code is {code}"
        problem = f"llama.cpp could not evaluate {count} tokens ({reason})"
        raise EngineError(explain(self.gguf, problem))

    def _read(self, count: int, sequences: int) -> int:
        threads = self._reading.choose(count, sequences)
        if threads != self._read_threads_set:
            self._api.set_n_threads(self._context, self.decode_threads, threads)
            self._read_threads_set = threads
        began = time.perf_counter()
        code = self._api.decode(self._context, self._batch.batch)
        self._reading.record(count, sequences, threads, time.perf_counter() - began)
        return code

    def logits(self, index: int) -> Logits:
        """The logits of an output of the last `evaluate`, without a copy.

        Returns:
            an array of shape (vocab_size,), valid until the next `evaluate`.
        """
        address = self._api.get_logits_ith(self._context, index)
        if not address:
            raise EngineError(explain(self.gguf, f"llama.cpp has no logits at {index}"))
        view = self._views.get(address)
        if view is None:
            if len(self._views) > 1024:
                self._views.clear()
            view = np.ctypeslib.as_array((ctypes.c_float * self.vocab_size).from_address(address))
            self._views[address] = view
        return view

    def sample(self, chain: Handle, index: int) -> int:
        """Draws a token by a chain of samplers from an output of the last `evaluate`."""
        return self._api.sampler_sample(chain, self._context, index)

    def rewind(self, sequence: int, held: int, keep: int) -> int:
        """Makes a sequence forget its end; returns how many tokens it still holds.

        Args:
            sequence: llama.cpp's id.
            held: tokens it holds now.
            keep: tokens it should hold.

        Returns:
            `keep`, or 0 where the model cannot forget a part (then it has forgotten everything).
        """
        if keep == held:
            return keep
        if keep > 0 and self.can_rewind and self._forget(sequence, keep):
            return keep
        self.clear(sequence)
        return 0

    def _forget(self, sequence: int, keep: int) -> bool:
        memory = self._loaded.memory
        if not self._api.memory_seq_rm(memory, sequence, keep, -1):
            return False
        # A sliding window may have dropped what the new end looks back at.
        return self._api.memory_seq_pos_min(memory, sequence) == 0

    def clear(self, sequence: int) -> None:
        """Makes a sequence forget everything; every kind of model can."""
        self._api.memory_seq_rm(self._loaded.memory, sequence, -1, -1)

    def interrupt(self) -> None:
        """Breaks off the evaluation under way, or the next one; from any thread. CPU only."""
        self._stop[0] = b"\1"

    def close(self) -> None:
        """Frees the memory. May be called twice; nothing else may be called after it."""
        if not self._closed:
            self._closed = True
            self._views = {}
            self._api.free(self._loaded.context)
            self._api.model_free(self._loaded.model)


def _address_of_strlen() -> int:
    library = ctypes.CDLL(None) if os.name != "nt" else ctypes.CDLL("msvcrt")
    address = ctypes.cast(library.strlen, ctypes.c_void_p).value
    assert address is not None
    return address
