"""Models of any architecture and size, without anything learned: for what they take of memory, not for what they say."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import gguf
import numpy as np
from networks import Shape, finish, matrices
from vocabulary import Vocabulary, train, write

TYPES: Final = {"F32": 0, "F16": 1, "Q4_0": 2, "Q8_0": 8}
"""By llama.cpp's numbers."""
_BLOCK_BYTES: Final = {"Q4_0": 18, "Q8_0": 34}
"""Of 32 weights."""
_VOCABULARY: Final = 512
_KERNEL, _RANK = 4, 4


@dataclass(frozen=True, slots=True)
class AnyModel:
    """What differs between models; `experts` 0: none, `window` 0: no layer looks back at less than all."""

    architecture: str
    shape: Shape
    kind: str = "F16"
    experts: int = 0
    window: int = 0
    tied: bool = False


def write_any(path: Path, model: AnyModel) -> Path:
    """Write `model` to `path` and return that."""
    shape = model.shape
    writer = gguf.GGUFWriter(path, model.architecture)
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_VOCABULARY)
    write(writer, _trained(), (), _VOCABULARY)
    _matrix(writer, "token_embd", (_VOCABULARY, shape.width), model.kind)
    if not model.tied:
        _matrix(writer, "output", (_VOCABULARY, shape.width), model.kind)
    _vector(writer, "output_norm.weight", shape.width)
    if model.architecture == "mamba":
        _mamba(writer, model)
    else:
        _transformer(writer, model)
    finish(writer)
    return path


@cache
def _trained() -> Vocabulary:
    return train(_VOCABULARY)


def _transformer(writer: gguf.GGUFWriter, model: AnyModel) -> None:
    shape = model.shape
    writer.add_feed_forward_length(shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    if model.window:
        writer.add_sliding_window(model.window)
    if model.experts:
        writer.add_expert_count(model.experts)
        writer.add_expert_used_count(2)
    norms = {"attn_norm": shape.width, "ffn_norm": shape.width}
    if model.architecture in {"gemma3", "qwen3"}:
        norms |= {"attn_q_norm": shape.head, "attn_k_norm": shape.head}
    if model.architecture == "gemma3":
        norms |= {"post_attention_norm": shape.width, "post_ffw_norm": shape.width}
    for layer in range(shape.layers):
        for name, size in norms.items():
            _vector(writer, f"blk.{layer}.{name}.weight", size)
        for name, size in matrices(shape).items():
            if model.experts and name.startswith("ffn_"):
                _matrix(writer, f"blk.{layer}.{name}_exps", (model.experts, *size), model.kind)
                continue
            _matrix(writer, f"blk.{layer}.{name}", size, model.kind)
            if model.architecture == "qwen2" and name in {"attn_q", "attn_k", "attn_v"}:
                _vector(writer, f"blk.{layer}.{name}.bias", size[0])
        if model.experts:
            _matrix(writer, f"blk.{layer}.ffn_gate_inp", (model.experts, shape.width), "F32")


def _mamba(writer: gguf.GGUFWriter, model: AnyModel) -> None:
    width, inner, states = model.shape.width, 2 * model.shape.width, 16
    writer.add_feed_forward_length(0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(_KERNEL)
    writer.add_ssm_inner_size(inner)
    writer.add_ssm_state_size(states)
    writer.add_ssm_time_step_rank(_RANK)
    for layer in range(model.shape.layers):
        block = f"blk.{layer}."
        _vector(writer, f"{block}attn_norm.weight", width)
        _vector(writer, f"{block}ssm_conv1d.bias", inner)
        _vector(writer, f"{block}ssm_dt.bias", inner)
        _vector(writer, f"{block}ssm_d", inner)
        _matrix(writer, f"{block}ssm_in", (2 * inner, width), model.kind)
        _matrix(writer, f"{block}ssm_conv1d", (inner, _KERNEL), "F32")
        _matrix(writer, f"{block}ssm_x", (_RANK + 2 * states, inner), model.kind)
        _matrix(writer, f"{block}ssm_dt", (inner, _RANK), "F32")
        _matrix(writer, f"{block}ssm_out", (width, inner), model.kind)
        writer.add_tensor(f"{block}ssm_a", -np.ones((inner, states), np.float32))


def _vector(writer: gguf.GGUFWriter, name: str, size: int) -> None:
    writer.add_tensor(name, np.ones(size, np.float32))


def _matrix(writer: gguf.GGUFWriter, name: str, size: tuple[int, ...], kind: str) -> None:
    if kind not in _BLOCK_BYTES:
        writer.add_tensor(f"{name}.weight", np.zeros(size, np.float32 if kind == "F32" else np.float16))
        return
    data = np.zeros((*size[:-1], size[-1] // 32 * _BLOCK_BYTES[kind]), np.uint8)
    writer.add_tensor(f"{name}.weight", data, raw_dtype=gguf.GGMLQuantizationType(TYPES[kind]))
