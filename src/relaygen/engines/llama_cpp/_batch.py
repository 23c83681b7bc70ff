"""What is evaluated in one step, as llama.cpp takes it."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from relaygen.engines.llama_cpp._capi import Batch


class Piece(NamedTuple):
    """Tokens that one sequence evaluates in a step.

    Attributes:
        sequence: llama.cpp's id of it.
        start: position of the first token.
        tokens: their ids.
        outputs: logits are wanted after the last so many of them.
    """

    sequence: int
    start: int
    tokens: Sequence[int]
    outputs: int


class BatchArrays:
    """A ``llama_batch`` over arrays of our own, filled anew for every step."""

    def __init__(self, size: int) -> None:
        self._token = np.zeros(size, np.int32)
        self._pos = np.zeros(size, np.int32)
        self._logits = np.zeros(size, np.int8)
        self._seq = np.zeros(size, np.int32)
        self._n_seq = np.ones(size, np.int32)
        stride, first = self._seq.itemsize, self._seq.ctypes.data
        self._seq_pointers = (ctypes.c_void_p * size)(*(first + stride * i for i in range(size)))
        self._positions = np.arange(0, dtype=np.int32)
        int32, int8 = ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_int8)
        self.batch = Batch(
            token=self._token.ctypes.data_as(int32),
            pos=self._pos.ctypes.data_as(int32),
            n_seq_id=self._n_seq.ctypes.data_as(int32),
            seq_id=ctypes.cast(self._seq_pointers, ctypes.POINTER(ctypes.c_void_p)),
            logits=self._logits.ctypes.data_as(int8),
        )

    def fill(self, pieces: Sequence[Piece]) -> tuple[int, list[int]]:
        """Returns the number of tokens, and the index of the first output of each piece."""
        at = 0
        firsts = []
        for sequence, start, tokens, outputs in pieces:
            count = len(tokens)
            end = at + count
            if count == 1:
                self._token[at] = tokens[0]
                self._pos[at] = start
                self._seq[at] = sequence
                self._logits[at] = outputs
            else:
                self._token[at:end] = tokens
                self._pos[at:end] = np.arange(start, start + count, dtype=np.int32)
                self._seq[at:end] = sequence
                self._logits[at:end] = 0
                self._logits[end - outputs : end] = 1
            firsts.append(end - outputs)
            at = end
        self.batch.n_tokens = at
        return at, firsts
