"""What workers say of themselves, bounded where it was read. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.bounds import count


@dataclass(frozen=True, slots=True)
class ModelNeeds:
    """What a model takes of a GPU slice, in bytes, as a worker counted before it loaded."""

    weights: int
    cache: int
    buffers: int
    total: int
    """Of these and of adapters."""


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a ready worker says of itself on `/v1/worker`; None for what one of an older version does not."""

    device: str
    """`cuda`, `cpu`, … as llama.cpp reports the backend that computed the first token."""
    on_gpu: bool
    context_tokens: int | None = None
    parallel_sequences: int | None = None
    needs: ModelNeeds | None = None


def read_needs(said: object, *, on_gpu: object) -> ModelNeeds | None:
    """Return what a worker says of memory; None for one on the CPU, whose figure has the worker itself in it, and for nonsense."""
    if on_gpu is not True or not isinstance(said, Mapping):
        return None
    parts: dict[str, Any] = {name: count(said.get(name)) for name in ("weights", "kv_cache", "buffers", "total")}
    if None in parts.values() or parts["weights"] + parts["kv_cache"] + parts["buffers"] > parts["total"]:
        return None
    return ModelNeeds(parts["weights"], parts["kv_cache"], parts["buffers"], parts["total"])
