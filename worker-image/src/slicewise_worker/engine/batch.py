"""The tokens of one step, as llama.cpp takes them."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np

from slicewise_worker.engine.binding import api


class Batch:
    """The tokens of one step, in arrays that llama.cpp reads in place."""

    def __init__(self, capacity: int) -> None:
        self._token = np.zeros(capacity, np.int32)
        self._position = np.zeros(capacity, np.int32)
        self._sequence = np.zeros(capacity, np.int32)
        self._output = np.zeros(capacity, np.int8)
        self._sequences = np.ones(capacity, np.int32)
        int32 = ctypes.POINTER(ctypes.c_int32)
        base = self._sequence.ctypes.data
        self._pointers = (int32 * capacity)(*(ctypes.cast(base + 4 * index, int32) for index in range(capacity)))
        self.value = api.llama_batch(
            n_tokens=0,
            token=self._token.ctypes.data_as(int32),
            embd=None,
            pos=self._position.ctypes.data_as(int32),
            n_seq_id=self._sequences.ctypes.data_as(int32),
            seq_id=self._pointers,
            logits=self._output.ctypes.data_as(ctypes.POINTER(ctypes.c_int8)),
        )
        self.capacity = capacity
        self.size = 0

    def clear(self) -> None:
        """Start a new step."""
        self.size = 0

    def add(self, sequence: int, tokens: Sequence[int], position: int, *, output: bool) -> int:
        """Append `tokens` of `sequence`, the first at `position`, and return the index of the last one.

        With `output` the step computes its logits, and `Sampler.sample` takes that index.
        The caller never adds more than `capacity` tokens in a step.
        """
        start, end = self.size, self.size + len(tokens)
        if end - start == 1:
            self._token[start], self._position[start] = tokens[0], position
            self._sequence[start], self._output[start] = sequence, output
            self.size = end
            return start
        self._token[start:end] = tokens
        self._position[start:end] = np.arange(position, position + len(tokens))
        self._sequence[start:end] = sequence
        self._output[start:end] = 0
        self._output[end - 1] = output
        self.size = end
        return end - 1
