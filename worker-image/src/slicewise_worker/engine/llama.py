"""llama.cpp through llama-cpp-python's low-level API, behind a few typed classes.

With `tokenizer.py` and `sampler.py` all that calls llama.cpp. It decides nothing: the loop says what goes into a batch. A
`Context` belongs to one thread.

Traps of 0.3.36: `use_mmap` no longer exists and setting it on the ctypes struct is silently ignored (`load_mode` now);
a cache of quantised values needs flash attention.
"""

from __future__ import annotations

import ctypes
import re
from array import array
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.cpus import take_best_code
from slicewise_worker.engine.llama_log import collect_log, forget_log, reason, recent_log
from slicewise_worker.engine.padding import Padding
from slicewise_worker.engine.parts import load_parts
from slicewise_worker.engine.request import FlashAttention, KvType
from slicewise_worker.engine.shape import ContextShape
from slicewise_worker.engine.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from slicewise_worker.engine.batch import Batch
    from slicewise_worker.engine.constraint import Grammars

__all__ = [
    "Context",
    "ContextShape",
    "LlamaError",
    "LoadCancelledError",
    "Model",
    "forget_log",
    "recent_log",
    "start_backend",
]

KV_TYPES: Final[dict[KvType, int]] = {
    "f16": api.GGML_TYPE_F16,
    "q8_0": api.GGML_TYPE_Q8_0,
    "q4_0": api.GGML_TYPE_Q4_0,
}

FLASH_ATTENTION: Final[dict[FlashAttention, int]] = {
    "Auto": api.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "Enabled": api.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "Disabled": api.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
STEP_DELAY_KEY: Final = b"slicewise.debug.step_delay_ms"
MAX_STEP_DELAY_MS: Final = 100
_MOST_IDLE: Final = 2
"""Idle slots side by side that get a token on a CPU, which costs about half as much as another pass over a small model's weights."""


class LlamaError(Exception):
    """llama.cpp refused; the message holds its own words."""


class LoadCancelledError(LlamaError):
    """Loading was given up because the progress callback said so."""


def start_backend() -> None:
    """Initialise llama.cpp once per process, with the best code for this CPU and its log lines in the logger `llama.cpp`."""
    collect_log()
    take_best_code()
    api.llama_backend_init()


class Model:
    """Weights and tokenizer of one GGUF file, or of all parts of a split one."""

    grammars: Grammars
    """Not of a dry one, nor what bounds need of its vocabulary: both take as long as the rest of its load."""

    def __init__(
        self, *paths: Path, gpu: bool, progress: Callable[[float], bool] | None = None, dry: bool = False
    ) -> None:
        """Load `paths`; `progress` gets the part done (0 to 1) and may stop the load by returning False.

        `dry` reads no weights and only simulates the allocations, for `fit`. Raises `LlamaError`.
        """
        params = api.llama_model_default_params()
        params.n_gpu_layers = 999 if gpu else 0
        # The simulation aborts the process under mmap.
        params.load_mode = api.LLAMA_LOAD_MODE_NONE if dry else api.LLAMA_LOAD_MODE_MMAP
        params.no_alloc = dry
        cancelled = False

        def on_progress(done: float, _data: ctypes.c_void_p) -> bool:
            nonlocal cancelled
            cancelled = progress is not None and not progress(done)
            return not cancelled

        params.progress_callback = callback = api.llama_progress_callback(on_progress)
        self._model: Any = load_parts(paths, params)
        del callback
        if not self._model:
            raise LoadCancelledError("cancelled") if cancelled else LlamaError(reason())
        if api.llama_model_has_encoder(self._model):
            self.close()
            raise LlamaError("a model with an encoder is not supported; take one that only decodes")
        self.gpu = gpu
        self.tokenizer = Tokenizer(self._model)
        if not dry:
            self.tokenizer.read_all()
            # With numpy and llguidance: most of what the child process of the dry run would load for nothing.
            from slicewise_worker.engine.constraint import Grammars  # noqa: PLC0415

            self.grammars = Grammars(self.tokenizer)
        self.vocabulary = self.tokenizer.size
        self.trained_context: int = api.llama_model_n_ctx_train(self._model)
        self.bytes: int = api.llama_model_size(self._model)
        self.chat_template = self._template(None)
        self.chat_template_for_tools = self._template(b"tool_use")
        """Beside the usual one, for conversations with tools; few files have one."""
        self.step_delay = self._step_delay()
        """Seconds that each step takes at least: slowness of test models that is the same on every machine."""
        self.bos, self.eos = self.tokenizer.bos, self.tokenizer.eos
        self._adapters: dict[str, Any] = {}

    def _template(self, name: bytes | None) -> str | None:
        template = api.llama_model_chat_template(self._model, name)
        return template.decode("utf-8", "replace") if template else None

    def _step_delay(self) -> float:
        """Return what the file says, at most 0.1 s: a file may always be slower by its size, by this it may not be much."""
        buffer = ctypes.create_string_buffer(16)
        count = api.llama_model_meta_val_str(self._model, STEP_DELAY_KEY, buffer, len(buffer))
        milliseconds = buffer.value.decode("ascii", "replace") if count > 0 else ""
        return min(int(milliseconds), MAX_STEP_DELAY_MS) / 1000 if re.fullmatch("[0-9]{1,15}", milliseconds) else 0.0

    def load_adapter(self, name: str, path: Path) -> None:
        """Load a LoRA, for `Context.use`, before the context is made; raises `LlamaError` for one of another model."""
        adapter = api.llama_adapter_lora_init(self._model, str(path).encode())
        if not adapter:
            raise LlamaError(reason(last=1))
        self._adapters[name] = adapter

    @property
    def adapters(self) -> Mapping[str, Any]:
        """The handles of what was loaded, by name; they are freed with the model."""
        return self._adapters

    def close(self) -> None:
        """Free the weights; no context of this model may be alive."""
        if self._model:
            api.llama_model_free(self._model)
            self._model = None

    def tokenize(self, text: str) -> array[int]:
        """Return the tokens of `text`, as `Tokenizer.tokenize` does."""
        return self.tokenizer.tokenize(text)

    @property
    def pointer(self) -> Any:
        """The handle for this module's other classes."""
        return self._model


class Context:
    """KV cache and compute buffers over a model. Used by one thread."""

    def __init__(self, model: Model, shape: ContextShape) -> None:
        """Allocate the context; raises `LlamaError` when llama.cpp cannot."""
        params = api.llama_context_default_params()
        params.n_ctx = shape.tokens
        params.n_batch = shape.batch
        params.n_ubatch = min(shape.micro_batch or shape.batch, shape.batch)
        params.n_seq_max = shape.sequences
        params.n_threads = params.n_threads_batch = shape.threads
        params.type_k = params.type_v = KV_TYPES[shape.kv_type]
        self._window: int = api.llama_model_n_swa(model.pointer)
        self._recurrent = bool(api.llama_model_is_recurrent(model.pointer) or api.llama_model_is_hybrid(model.pointer))
        self.shares = not (self._recurrent or self._window)
        """Whether several sequences can use one beginning: not where a cache has room for a window of each, or one state of each."""
        # In one buffer for all sequences each token would be compared with the tokens of all others, to find that they are not its own.
        self._apart = self.shares and shape.pooling is None and shape.sequences > 1
        params.kv_unified = not self._apart
        params.flash_attn_type = FLASH_ATTENTION["Enabled" if shape.kv_type != "f16" else shape.flash_attention]
        # Else a build with a GPU backend moves work there though the pod did not ask for one.
        params.offload_kqv = params.op_offload = model.gpu
        params.no_perf = True
        if shape.pooling is not None:
            params.embeddings, params.pooling_type = True, shape.pooling
        self._context: Any = api.llama_init_from_model(model.pointer, params)
        if not self._context:
            raise LlamaError(reason())
        self._memory: Any = api.llama_get_memory(self._context)
        self._vocabulary = model.vocabulary
        self._adapters = model.adapters
        self.shape = shape
        most_idle = 0 if not self._apart else shape.sequences if model.gpu else _MOST_IDLE
        self._adapter: str | None = None
        self.padding = Padding(self._memory, room=shape.tokens // shape.sequences, most=most_idle)

    def use(self, adapter: str | None) -> None:
        """Compute with the adapter of that name from now on, None: with the model alone. What is in the cache stays as it is."""
        if adapter == self._adapter:
            return
        self._adapter = adapter
        if adapter is None:
            api.llama_set_adapters_lora(self._context, None, 0, None)
            return
        one = (api.llama_adapter_lora_p_ctypes * 1)(self._adapters[adapter])
        api.llama_set_adapters_lora(self._context, one, 1, (ctypes.c_float * 1)(1.0))

    def decode(self, batch: Batch) -> int:
        """Evaluate `batch`: 0 is success, 1 no room in the cache; less than -1 leaves the context unsafe.

        It is fastest where the sequences of the batch are in their order.
        """
        batch.value.n_tokens = batch.size
        result = int(api.llama_decode(self._context, batch.value))
        self.padding.remove()
        return result

    def set_threads(self, single: int, others: int) -> None:
        """Compute steps of one token by `single` threads from now on, and all others by `others`."""
        api.llama_set_n_threads(self._context, single, others)

    def outputs(self, count: int) -> NDArray[np.float32]:
        """Return the logits after each of the `count` tokens of the last batch that had an output, in their order there.

        They are llama.cpp's own: what is written there is sampled from.
        """
        return _numbers(api.llama_get_logits(self._context), (count, self._vocabulary))

    def logits(self, index: int) -> NDArray[np.float32]:
        """Return the logits after the token at `index` of the last batch, in place."""
        return _numbers(api.llama_get_logits_ith(self._context, index), (self._vocabulary,))

    @property
    def pointer(self) -> Any:
        """The handle for `Sampler`."""
        return self._context

    def forget(self, sequence: int) -> None:
        """Drop all tokens of `sequence` from the cache."""
        api.llama_memory_seq_rm(self._memory, sequence, -1, -1)

    def reuse(self, sequence: int, source: int, tokens: int) -> int:
        """Let `sequence` begin with the first `tokens` that `source` has in the cache; return how many it has then, all or none.

        `source` may be `sequence` itself; if not, it stays as it is, and `shares` must hold.
        """
        if source != sequence:
            self.forget(sequence)
            if self._apart:
                # llama.cpp copies whole buffers only, when it evaluates the next batch.
                api.llama_memory_seq_cp(self._memory, source, sequence, -1, -1)
                api.llama_memory_seq_rm(self._memory, sequence, tokens, -1)
            else:
                api.llama_memory_seq_cp(self._memory, source, sequence, 0, tokens)
            return tokens
        # A recurrent state is of its last token: llama.cpp refuses to cut there.
        cut = api.llama_memory_seq_rm(self._memory, sequence, tokens, -1)
        first = api.llama_memory_seq_pos_min(self._memory, sequence)
        # Of a sliding window the cells before it are gone, and those that were in it at `tokens` may be.
        needed = max(0, tokens - self._window) if self._window else 0
        if cut and (self._recurrent or 0 <= first <= needed):
            return tokens
        self.forget(sequence)
        return 0

    def close(self) -> None:
        """Free the context."""
        if self._context:
            api.llama_free(self._context)
            self._context = None


def _numbers(pointer: Any, shape: tuple[int, ...]) -> NDArray[np.float32]:
    from numpy.ctypeslib import as_array  # noqa: PLC0415 - see `Model`

    return as_array(pointer, shape)
