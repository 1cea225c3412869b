"""Small models whose cache is not one cell a token: one with a sliding window (Gemma 3), one with a recurrent state (Mamba).

Random weights, as in `tiny`: the words mean nothing. Made by the tests that need them.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from networks import Shape, finish, matrices
from vocabulary import train, write

WINDOW = 32
"""Tokens that most layers of the first look back at."""
_WINDOWED = Shape(layers=6, width=64, feed_forward=128, heads=2, kv_heads=1, head=32, vocabulary=512, context=2048)
_WIDTH, _INNER, _STATES, _RANK, _KERNEL, _BLOCKS = 64, 128, 16, 4, 4, 2


def _writer(path: Path, architecture: str, blocks: int, feed_forward: int) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(path.stem)
    writer.add_context_length(_WINDOWED.context)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(blocks)
    writer.add_feed_forward_length(feed_forward)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(_WINDOWED.vocabulary)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    write(writer, train(_WINDOWED.vocabulary), (), _WINDOWED.vocabulary)
    return writer


class _Noise:
    """Random numbers, the same on every machine."""

    def __init__(self, seed: int) -> None:
        self._dice = np.random.Generator(np.random.PCG64(seed))

    def __call__(self, rows: int, columns: int) -> npt.NDArray[np.float32]:
        return (self._dice.integers(-128, 128, (rows, columns)) / 512).astype(np.float32)


def write_windowed(path: Path) -> None:
    """Write a Gemma 3 of six layers, of which five have a window of `WINDOW` tokens."""
    shape, noise = _WINDOWED, _Noise(7)
    writer = _writer(path, "gemma3", shape.layers, shape.feed_forward)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head)
    writer.add_value_length(shape.head)
    writer.add_rope_dimension_count(shape.head)
    writer.add_sliding_window(WINDOW)
    writer.add_tensor("token_embd.weight", noise(shape.vocabulary, shape.width))
    writer.add_tensor("output_norm.weight", np.ones(shape.width, np.float32))
    for layer in range(shape.layers):
        for name, size in (
            ("attn_norm", shape.width),
            ("post_attention_norm", shape.width),
            ("attn_q_norm", shape.head),
            ("attn_k_norm", shape.head),
            ("ffn_norm", shape.width),
            ("post_ffw_norm", shape.width),
        ):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(size, np.float32))
        for name, (rows, columns) in matrices(shape).items():
            writer.add_tensor(f"blk.{layer}.{name}.weight", noise(rows, columns))
    finish(writer)


def write_recurrent(path: Path) -> None:
    """Write a Mamba of two blocks."""
    noise = _Noise(8)
    writer = _writer(path, "mamba", _BLOCKS, 0)
    writer.add_head_count(0)
    writer.add_ssm_conv_kernel(_KERNEL)
    writer.add_ssm_inner_size(_INNER)
    writer.add_ssm_state_size(_STATES)
    writer.add_ssm_time_step_rank(_RANK)
    writer.add_tensor("token_embd.weight", noise(_WINDOWED.vocabulary, _WIDTH))
    writer.add_tensor("output_norm.weight", np.ones(_WIDTH, np.float32))
    for layer in range(_BLOCKS):
        block = f"blk.{layer}."
        writer.add_tensor(f"{block}attn_norm.weight", np.ones(_WIDTH, np.float32))
        writer.add_tensor(f"{block}ssm_in.weight", noise(2 * _INNER, _WIDTH))
        writer.add_tensor(f"{block}ssm_conv1d.weight", noise(_INNER, _KERNEL))
        writer.add_tensor(f"{block}ssm_conv1d.bias", np.zeros(_INNER, np.float32))
        writer.add_tensor(f"{block}ssm_x.weight", noise(_RANK + 2 * _STATES, _INNER))
        writer.add_tensor(f"{block}ssm_dt.weight", noise(_INNER, _RANK))
        writer.add_tensor(f"{block}ssm_dt.bias", np.zeros(_INNER, np.float32))
        writer.add_tensor(f"{block}ssm_a", -np.ones((_INNER, _STATES), np.float32))
        writer.add_tensor(f"{block}ssm_d", np.ones(_INNER, np.float32))
        writer.add_tensor(f"{block}ssm_out.weight", noise(_WIDTH, _INNER))
    finish(writer)
