"""What a worker takes on at the same time, and what that may take of its container's memory."""

from __future__ import annotations

from slicewise_worker.chat.renderer import RENDERER_BYTES
from slicewise_worker.engine.cgroup import default_threads, resident_bytes
from slicewise_worker.engine.embedder import VECTOR_BYTES
from slicewise_worker.engine.llama import ContextShape
from slicewise_worker.engine.request import TOKEN_BYTES, Limits
from slicewise_worker.settings import WorkerSettings

_COPIES = 4
"""Of the largest body while it is made into a prompt, one at a time: its bytes, its text, the rendered text, that one's bytes."""

_TEXTS_IN_A_STEP = 64
"""Of a model for embeddings, if they are short enough."""
_LEAST_CHUNK = 64
"""Where the memory has room for no more: prompts take a tenth longer at most on a CPU."""
_CHUNK_ON_CPU = 128
"""A larger one makes no prompt faster there, and takes memory for buffers: 0.3 MiB a token of a model with 150,000 of them."""
_CHUNK_ON_GPU = 512
"""What llama.cpp computes at a time by itself."""


def chunk_sizes(settings: WorkerSettings, *, on_gpu: bool) -> list[int]:
    """Return how many prompt tokens a step may have at most, the best number first: the first is taken that the memory has room for."""
    if settings.prompt_chunk_tokens is not None:
        return [settings.prompt_chunk_tokens]
    most = min(_CHUNK_ON_GPU if on_gpu else _CHUNK_ON_CPU, settings.context_tokens * settings.parallel_sequences)
    sizes = [most]
    while sizes[-1] // 2 >= _LEAST_CHUNK:
        sizes.append(sizes[-1] // 2)
    return sizes


def _chunk(settings: WorkerSettings) -> int:
    return settings.prompt_chunk_tokens or _LEAST_CHUNK


def context_shape(settings: WorkerSettings, pooling: int | None = None) -> ContextShape:
    """Return the sizes of the context for `settings`: every sequence can be full at the same time, or with `pooling`, one of them."""
    if pooling is not None:
        # A text is read as a whole, in one micro-batch: one that is as long as may be, or several short ones.
        step = max(settings.context_tokens, settings.micro_batch_tokens or 0)
        return ContextShape(
            tokens=step,
            batch=step,
            sequences=_TEXTS_IN_A_STEP,
            kv_type=settings.kv_cache_type,
            threads=settings.threads or default_threads(),
            flash_attention=settings.flash_attention,
            pooling=pooling,
        )
    return ContextShape(
        tokens=settings.context_tokens * settings.parallel_sequences,
        # One step is one micro-batch: a token for each sequence and a chunk of prompts.
        batch=max(settings.parallel_sequences + _chunk(settings), 32),
        sequences=settings.parallel_sequences,
        kv_type=settings.kv_cache_type,
        threads=settings.threads or default_threads(),
        micro_batch=settings.micro_batch_tokens,
        flash_attention=settings.flash_attention,
    )


def own_bytes(settings: WorkerSettings, shape: ContextShape) -> int:
    """Return the memory of the worker itself and of what requests may take."""
    besides = VECTOR_BYTES if shape.pooling is not None else RENDERER_BYTES if settings.chat else 0
    return resident_bytes() + besides + _request_bytes(settings)


def _request_bytes(settings: WorkerSettings) -> int:
    """Return what requests take at most beside the KV cache: bodies, the texts made of the largest one, and prompts."""
    making = _COPIES * settings.max_body_bytes
    return settings.body_memory_bytes + making + limits_of(settings).prompt_tokens * TOKEN_BYTES


def limits_of(settings: WorkerSettings, constrained: int = 1) -> Limits:
    """Return the bounds of the engine; `constrained`: answers that may keep to a form at the same time."""
    return Limits(
        context_tokens=settings.context_tokens,
        sequences=settings.parallel_sequences,
        prompt_chunk_tokens=_chunk(settings),
        max_queue=settings.max_queue,
        waiting_tokens=settings.prompt_memory_bytes // TOKEN_BYTES,
        constrained=constrained,
        # A step that takes as long as `stallAfter` ends the worker.
        max_token_gap=min(settings.max_token_gap_seconds, settings.stall_after_seconds / 2),
    )
