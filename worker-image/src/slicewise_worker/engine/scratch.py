"""What ggml's CPU backend takes for itself when it first computes, which no dry run of llama.cpp counts. Pure; never too little.

By `ggml_graph_plan` in ggml-cpu.c: the largest operation of the graph counts, since all use one piece of memory.
"""

from __future__ import annotations

from typing import Final

from slicewise_worker.engine.gguf_header import Header
from slicewise_worker.engine.shape import ContextShape

_HALVES: Final = frozenset({1, 30})
"""F16 and BF16 (`ggml_type`): what is multiplied with them becomes two bytes a number."""
_QUANTISED: Final = 292 / 256
"""Bytes a number of Q8_K, in which activations meet quantised weights; Q8_0 and Q8_1 have 34 and 36 for 32."""
_TILES: Final = (512 << 10) + 64
"""Of one thread for matrices in tiles."""
_LINE: Final = 64


def scratch_bytes(header: Header, shape: ContextShape, *, flash: bool) -> int:
    """Return the most that steps of `shape` take; `flash`: whether attention is computed block by block."""
    step = min(shape.micro_batch or shape.batch, shape.batch)
    attention = _flash(header, shape.threads) if flash else _whole(header, shape, step)
    return round(max(_matrices(header, step), attention)) + shape.threads * (_TILES + _LINE) + _LINE


def _matrices(header: Header, step: int) -> float:
    """Return the bytes for the activations of `step` tokens, and for the experts that they choose."""
    each = 2.0 if header.tensor_types & _HALVES else _QUANTISED
    experts, used = (_number(header, key) for key in ("expert_count", "expert_used_count"))
    # Beside the activations of each expert chosen: which rows are its own, and a counter.
    chosen = max(1, used)
    return step * header.longest_row * each * chosen + experts * (chosen * step * 8 + 2 * _LINE)


def _whole(header: Header, shape: ContextShape, step: int) -> float:
    """Return the bytes for the weights of attention, two for each token, head and cell of the cache."""
    cells = shape.tokens // shape.sequences if shape.sequences > 1 and shape.pooling is None else shape.tokens
    return 2.0 * step * max(1, _number(header, "attention.head_count")) * (cells + 256)


def _flash(header: Header, threads: int) -> float:
    heads = max(1, _number(header, "attention.head_count"))
    sizes = (_number(header, f"attention.{which}_length") for which in ("key", "value"))
    head = max(*sizes, _number(header, "embedding_length") // heads)
    prompts = 4 * threads * (256 * head + 2 * 64 * 64)
    return max(prompts, 4 * threads * (heads * (2 + head) + 3 * head))


def _number(header: Header, key: str) -> int:
    """Return a number of the architecture, 0 where the file does not say it once for all layers."""
    return max(0, header.number(f"{header.text('general.architecture')}.{key}") or 0)
