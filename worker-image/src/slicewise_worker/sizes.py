"""What a worker takes on at the same time, and what that may take of its container's memory."""

from __future__ import annotations

from slicewise_worker.chat.renderer import RENDERER_BYTES
from slicewise_worker.engine.cgroup import resident_bytes
from slicewise_worker.engine.embedder import VECTOR_BYTES
from slicewise_worker.engine.llama import ContextShape
from slicewise_worker.engine.request import TOKEN_BYTES, Limits
from slicewise_worker.settings import WorkerSettings

_COPIES = 4
"""Of the largest body while it is made into a prompt, one at a time: its bytes, its text, the rendered text, that one's bytes."""


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
        prompt_chunk_tokens=settings.prompt_chunk_tokens,
        max_queue=settings.max_queue,
        waiting_tokens=settings.prompt_memory_bytes // TOKEN_BYTES,
        constrained=constrained,
    )
