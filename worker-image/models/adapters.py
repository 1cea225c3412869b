"""The made adapters (LoRA): `tiny-lora-1`, `tiny-lora-2` and `wordy-lora`. Integers and powers of two only, as in `networks.py`.

The layout is that of llama.cpp's `convert_lora_to_gguf.py`. Called by `make.py`.
"""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
from networks import TINY, WORDY, Shape, finish, matrices

_RANK = 4


def write_adapter(path: Path, name: str, shape: Shape, seed: int) -> None:
    """Write an adapter that changes every matrix of a block of each layer by noise, of rank 4."""
    dice = np.random.Generator(np.random.PCG64(seed))
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 2 * _RANK)
    writer.add_name(name)
    writer.add_license("Apache-2.0")
    for layer in range(shape.layers):
        for matrix, (rows, columns) in matrices(shape).items():
            for part, size in (("lora_a", (_RANK, columns)), ("lora_b", (rows, _RANK))):
                noise = (dice.integers(-128, 128, size) / 256).astype(np.float16)
                writer.add_tensor(f"blk.{layer}.{matrix}.weight.{part}", noise)
    finish(writer)


def write_tiny_adapter(path: Path, name: str, seed: int) -> None:
    """Write an adapter for `tiny`."""
    write_adapter(path, name, TINY, seed)


def write_wordy_adapter(path: Path) -> None:
    """Write an adapter for `wordy`, which is of the same architecture as `tiny` and of other sizes."""
    write_adapter(path, "wordy-lora", WORDY, seed=6)
