"""`spec.engine`: how each worker runs the model."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import AUTO, ContextTokens, ImageName, Sequences, TokenGap, WholeNumber

DEFAULT_CONTEXT: Final = 4096
"""Of `contextTokens`. The API server writes it into each pool, so that it cannot be told from one that a user writes (ADR 34)."""

DEFAULT_SEQUENCES: Final = 4
"""Of `parallelSequences`; what a worker is taken to have that was to choose and has not said."""
DEFAULT_CHUNK: Final = 64
"""Of `promptChunkTokens`, for the same reason: it leaves the number to the worker (ADR 52)."""


class KVCacheType(StrEnum):
    """Number format of the keys and values that the engine keeps."""

    F16 = "f16"
    Q8_0 = "q8_0"
    Q4_0 = "q4_0"


class FlashAttention(StrEnum):
    """Whether attention is computed block by block, in less memory."""

    AUTO = "Auto"
    DISABLED = "Disabled"
    ENABLED = "Enabled"


class EngineSpec(ApiModel):
    """How each worker runs the model. A change starts a new revision."""

    context_tokens: ContextTokens = DEFAULT_CONTEXT
    """Tokens of prompt and answer together that one sequence can hold. Of 4096 a worker takes what the model was trained for, where that
    is less; any other number that is more is refused. `Auto`: as many as its memory has room for."""
    parallel_sequences: Sequences = DEFAULT_SEQUENCES
    """Sequences that are decoded together. `Auto`: as many as a worker's memory has room for."""
    kv_cache_type: KVCacheType = KVCacheType.F16
    """Number format of the key-value cache: `q8_0` and `q4_0` take less memory than `f16`."""
    prompt_chunk_tokens: Annotated[WholeNumber, Field(ge=1, le=8192)] = DEFAULT_CHUNK
    """Most prompt tokens in one step. 64 leaves it to the worker: up to 512 on a GPU, 128 on a CPU, as memory and `maxTokenGap` allow."""
    max_token_gap: TokenGap | None = None
    """How long an answer may wait for its next token while prompts are read. Default: 200ms."""
    max_queue: Annotated[WholeNumber, Field(ge=0, le=10_000)] = 64
    """Requests that may wait in one worker; the next one gets 503 with Retry-After."""
    micro_batch_tokens: Annotated[WholeNumber, Field(ge=1, le=8192)] | None = None
    """Tokens that llama.cpp computes at a time: less takes less memory and more time. Default: a whole step."""
    flash_attention: FlashAttention | None = None
    """Default: `Auto`, llama.cpp decides by model and device; `q8_0` and `q4_0` always use it."""
    threads: Annotated[WholeNumber, Field(ge=1, le=256)] | None = None
    """Threads of a worker. Default: its CPU limit, rounded down, of which half compute single tokens where that is faster."""
    image: ImageName | None = None
    """Worker image. Default: the image of the installation, fixed when the revision is first rendered."""

    rules = (
        Rule(
            cel="type(self.contextTokens) != int || self.promptChunkTokens <= self.contextTokens",
            holds=lambda engine: engine.context_tokens == AUTO or engine.prompt_chunk_tokens <= engine.context_tokens,
            message="promptChunkTokens {chunk} is more than contextTokens {context}: write at most {context}",
            expects="promptChunkTokens of at most contextTokens",
            values={
                "chunk": ("self.promptChunkTokens", lambda engine: engine.prompt_chunk_tokens),
                "context": ("self.contextTokens", lambda engine: engine.context_tokens),
            },
            field="promptChunkTokens",
        ),
        Rule(
            cel="!has(self.flashAttention) || self.flashAttention != 'Disabled' || self.kvCacheType == 'f16'",
            holds=lambda engine: (
                engine.flash_attention is not FlashAttention.DISABLED or engine.kv_cache_type is KVCacheType.F16
            ),
            message="kvCacheType {kind} needs flash attention: leave flashAttention out, or write kvCacheType: f16",
            expects="flash attention with kvCacheType q8_0 and q4_0",
            values={"kind": ("self.kvCacheType", lambda engine: engine.kv_cache_type.value)},
            field="flashAttention",
        ),
    )
