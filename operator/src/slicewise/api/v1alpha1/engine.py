"""`spec.engine`: how each worker runs the model."""

from __future__ import annotations

from enum import StrEnum

from slicewise.api.v1alpha1.base import ApiModel


class KVCacheType(StrEnum):
    """Number format of the keys and values that the engine keeps."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class EngineSpec(ApiModel):
    """How each worker runs the model. A change starts a new revision."""

    context_tokens: int = 4096
    """Tokens of prompt and answer together that one sequence can hold."""
    parallel_sequences: int = 4
    """Sequences that are decoded together."""
    kv_cache_type: KVCacheType = KVCacheType.F16
    """Number format of the key-value cache: `f16`, or `q8_0` and `q4_0` for less memory."""
    prompt_chunk_tokens: int = 64
    """Most prompt tokens in one step, which bounds how long a prompt can hold up the other sequences."""
    max_queue: int = 64
    """Requests that may wait in one worker; the next one gets 503 with Retry-After."""
    image: str | None = None
    """Worker image. Default: the image of the installation, fixed when the revision is first rendered."""
