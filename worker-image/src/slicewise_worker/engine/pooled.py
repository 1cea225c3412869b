"""A context that makes one vector of each text, or a mark: llama.cpp with pooling. Used by one thread."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.binding import api
from slicewise_worker.engine.llama import Context, ContextShape, LlamaError, Model
from slicewise_worker.engine.model_kind import RANK

ABORTED: Final = 2
"""What `PooledContext.evaluate` returns when it had to stop."""
_YES_OR_NO: Final = 2
"""Marks of a generative reranker: llama.cpp makes probabilities of its "yes" and "no", in this order."""


class _WholeBatch(Batch):
    """Every token is an output, as pooling needs it."""

    def whole(self, sequence: int, tokens: Sequence[int]) -> None:
        self.add(sequence, tokens, 0, output=True)
        self._output[: self.size] = 1


class PooledContext(Context):
    """Evaluates whole texts: each in one micro-batch, for attention that looks both ways, and nothing is kept after a step."""

    def __init__(self, model: Model, shape: ContextShape, go_on: Callable[[], bool]) -> None:
        """Allocate the context. `go_on` is called many times within a step, where the CPU computes, and may end it by saying no.

        Raises `LlamaError`, for a reranker that gives documents several marks too.
        """
        super().__init__(model, shape)
        ranks = shape.pooling == RANK
        self.width = int(
            api.llama_model_n_cls_out(model.pointer) if ranks else api.llama_model_n_embd_out(model.pointer)
        )
        """Numbers of a vector; of a reranker, marks."""
        if ranks and self.width > _YES_OR_NO:
            labels = self.width
            self.close()
            raise LlamaError(f"it sorts documents into {labels} classes; take a reranker, which gives each one mark")
        self._batch = _WholeBatch(shape.batch)
        # Kept: llama.cpp has only its address.
        self._callback = api.ggml_abort_callback(lambda _data: not go_on())
        api.llama_set_abort_callback(self._context, self._callback, ctypes.c_void_p(0))

    def evaluate(self, inputs: Sequence[Sequence[int]]) -> int:
        """Evaluate `inputs`, which the shape has room for: 0 is success, `ABORTED` that `go_on` said no; less than -1 is unsafe."""
        self._batch.clear()
        for sequence, tokens in enumerate(inputs):
            self._batch.whole(sequence, tokens)
        if self._memory:
            api.llama_memory_clear(self._memory, False)
        return self.decode(self._batch)

    def vector(self, index: int) -> NDArray[np.float32]:
        """Return what came out for the input at `index` of the last `evaluate`; gone with the next. Raises `LlamaError`."""
        found: Any = api.llama_get_embeddings_seq(self._context, index)
        if not found:
            raise LlamaError("llama.cpp gave no vector")
        return np.ctypeslib.as_array(found, (self.width,))
