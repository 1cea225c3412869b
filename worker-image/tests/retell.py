"""Copies of a model file that say something else of themselves, and small files made from nothing."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.scripts.gguf_new_metadata import MetadataDetails, copy_with_new_metadata

TEMPLATE = "tokenizer.chat_template"


def _kind(value: Any) -> gguf.GGUFValueType:
    if isinstance(value, bool):
        return gguf.GGUFValueType.BOOL
    return gguf.GGUFValueType.STRING if isinstance(value, str) else gguf.GGUFValueType.UINT32


def retell(model: Path, to: Path, *, without: tuple[str, ...] = (), **says: Any) -> Path:
    """Copy `model` with other metadata. Keywords: keys with `__` for a dot; `without`: keys to leave out."""
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(to, "llama")
    new = {key.replace("__", "."): MetadataDetails(_kind(value), value) for key, value in says.items()}
    copy_with_new_metadata(reader, writer, new, without)
    return to


def split(model: Path, folder: Path, tensors: int) -> list[Path]:
    """Write `model` as parts with this many tensors each, as llama.cpp's and gguf's programs do; return them in their order."""
    folder.mkdir(parents=True, exist_ok=True)
    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(folder / "model.gguf", "llama", split_max_tensors=tensors)
    copy_with_new_metadata(reader, writer, {}, ())
    return sorted(folder.glob("model-*-of-*.gguf"))


def renamed(model: Path, to: Path, tokens: Mapping[str, str]) -> Path:
    """Copy `model` with other texts of tokens, each as long as the one that it replaces."""
    data = model.read_bytes()
    for old, new in tokens.items():
        assert len(old) == len(new)
        data = data.replace(
            len(old).to_bytes(8, "little") + old.encode(), len(new).to_bytes(8, "little") + new.encode(), 1
        )
    to.write_bytes(data)
    return to


def small(to: Path, architecture: str, *, tensors: int = 1, tokens: bool = True, **says: Any) -> Path:
    """Write a file of that architecture with a tensor of zeros. Keywords as for `retell`."""
    writer = gguf.GGUFWriter(to, architecture)
    for key, value in says.items():
        writer.add_key_value(key.replace("__", "."), value, _kind(value))
    if tokens:
        writer.add_tokenizer_model("gpt2")
        writer.add_token_list(["a", "b"])
    for number in range(tensors):
        writer.add_tensor(f"t{number}", np.zeros(32, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return to
