"""`spec.engine`: how each worker runs the model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import ImageName, WholeNumber


class KVCacheType(StrEnum):
    """Number format of the keys and values that the engine keeps."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class EngineSpec(ApiModel):
    """How each worker runs the model. A change starts a new revision."""

    context_tokens: Annotated[WholeNumber, Field(ge=64, le=1_048_576)] = 4096
    """Tokens of prompt and answer together that one sequence can hold."""
    parallel_sequences: Annotated[WholeNumber, Field(ge=1, le=256)] = 4
    """Sequences that are decoded together."""
    kv_cache_type: KVCacheType = KVCacheType.F16
    """Number format of the key-value cache: `q8_0` and `q4_0` take less memory than `f16`."""
    prompt_chunk_tokens: Annotated[WholeNumber, Field(ge=1, le=8192)] = 64
    """Most prompt tokens in one step, which bounds how long a prompt can hold up the other sequences."""
    max_queue: Annotated[WholeNumber, Field(ge=0, le=10_000)] = 64
    """Requests that may wait in one worker; the next one gets 503 with Retry-After."""
    image: ImageName | None = None
    """Worker image. Default: the image of the installation, fixed when the revision is first rendered."""

    rules = (
        Rule(
            cel="self.promptChunkTokens <= self.contextTokens",
            holds=lambda engine: engine.prompt_chunk_tokens <= engine.context_tokens,
            message="promptChunkTokens {chunk} is more than contextTokens {context}: write at most {context}",
            expects="promptChunkTokens of at most contextTokens",
            values={
                "chunk": ("self.promptChunkTokens", lambda engine: engine.prompt_chunk_tokens),
                "context": ("self.contextTokens", lambda engine: engine.context_tokens),
            },
            field="promptChunkTokens",
        ),
    )
