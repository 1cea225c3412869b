"""The sizes of a context, as the worker and the child process of its dry run have them."""

from __future__ import annotations

from dataclasses import dataclass

from slicewise_worker.engine.request import FlashAttention, KvType


@dataclass(frozen=True, slots=True)
class ContextShape:
    """Sizes of a context: `tokens` of KV cache over all sequences, `batch` tokens a step at most."""

    tokens: int
    batch: int
    sequences: int
    kv_type: KvType
    threads: int
    micro_batch: int | None = None
    """Tokens that are computed at a time; None: a whole step, so that a step stays one micro-batch."""
    flash_attention: FlashAttention = "Auto"
    pooling: int | None = None
    """How one vector is made of all tokens (`llama_pooling_type`); None: the context generates text."""
