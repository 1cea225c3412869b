"""The parts of a split model: their headers as one, each of them checked before llama.cpp sees the first.

llama.cpp takes the files in their order and by any names, so each part can lie in the cache under its own digest.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from slicewise_worker.engine.binding import api
from slicewise_worker.engine.gguf_header import Header, HeaderError, read_header


def read_parts(paths: Sequence[Path]) -> Header:
    """Return what the parts of a model, or its only file, say together; raises `HeaderError` that names the part, and `OSError`.

    Metadata are those of the first part; what is said of tensors is of all parts.
    """
    if len(paths) == 1:
        return read_header(paths[0])
    headers = []
    for number, path in enumerate(paths, start=1):
        try:
            header = read_header(path)
            _check_place(header, number, len(paths))
        except HeaderError as error:
            raise HeaderError(f"part {number} of {len(paths)} ({path}): {error}") from error
        headers.append(header)
    tensors = sum(header.tensors for header in headers)
    if (said := headers[0].number("split.tensors.count")) not in (None, tensors):
        raise HeaderError(f"the {len(paths)} parts have {tensors} tensors together, and the first says {said}")
    return replace(
        headers[0],
        tensors=tensors,
        widest=max(header.widest for header in headers),
        longest_row=max(header.longest_row for header in headers),
        tensor_types=frozenset().union(*(header.tensor_types for header in headers)),
    )


def _check_place(header: Header, number: int, count: int) -> None:
    """Raise `HeaderError` unless the header says that it is this part of that many."""
    said = header.number("split.count") or 1
    if said == 1:
        raise HeaderError("it is a whole model and no part of one")
    if ((header.number("split.no") or 0) + 1, said) != (number, count):
        raise HeaderError(f"it is part {(header.number('split.no') or 0) + 1} of {said}")


def load_parts(paths: Sequence[Path], params: Any) -> Any:
    """Let llama.cpp load the model; return its handle, null where it cannot."""
    names = [str(path).encode() for path in paths]
    if len(names) == 1:
        return api.llama_model_load_from_file(names[0], params)
    return api.llama_model_load_from_splits((ctypes.c_char_p * len(names))(*names), len(names), params)
