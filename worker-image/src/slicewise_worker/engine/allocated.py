"""What llama.cpp has allocated, or would allocate after a dry load, by its own account.

Called by the dry run alone. llama.cpp exports its account as a C++ function only. It is read here as g++ lays out a `std::map` on x86-64,
for which the image's library is built; a test holds it against the sizes in llama.cpp's log.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from slicewise_worker.engine.ggml import ggml

_MIB: Final = 1 << 20
_HALF_DIGIT: Final = 0.005
"""What two decimals may hide, in MiB."""
_OUTPUT: Final = re.compile(r"output buffer size = +([\d.]+) MiB")
_RECURRENT: Final = re.compile(r"^llama_memory_recurrent\w*: size = +([\d.]+) MiB")
_NODES: Final = re.compile(r"max_nodes = (\d+)")
_RESULTS: Final = 2
"""Graphs that a context keeps once it has computed, beside the one that it reserves: with outputs and without."""


class _Sizes(ctypes.Structure):
    _fields_ = (("model", ctypes.c_size_t), ("context", ctypes.c_size_t), ("compute", ctypes.c_size_t))


class _Node(ctypes.Structure):
    """A node of a red-black tree in libstdc++, with buffer type and sizes."""


_Node._fields_ = (
    ("color", ctypes.c_size_t),
    ("parent", ctypes.POINTER(_Node)),
    ("left", ctypes.POINTER(_Node)),
    ("right", ctypes.POINTER(_Node)),
    ("buffer_type", ctypes.c_void_p),
    ("sizes", _Sizes),
)


class _Map(ctypes.Structure):
    """A `std::map` in libstdc++: its comparison takes no room but is padded; the tree hangs below the header's parent."""

    _fields_ = (
        ("compare", ctypes.c_size_t),
        ("color", ctypes.c_size_t),
        ("root", ctypes.POINTER(_Node)),
        ("least", ctypes.c_void_p),
        ("greatest", ctypes.c_void_p),
        ("count", ctypes.c_size_t),
    )


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes of the weights, the caches and the buffers of a step in one kind of memory."""

    host: bool
    model: int
    context: int
    compute: int


@cache
def _llama() -> Any:
    llama = ggml()
    llama._Z26llama_get_memory_breakdownPK13llama_context.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    llama._Z26llama_get_memory_breakdownPK13llama_context.restype = ctypes.c_void_p
    return llama


def parts(context: Any) -> list[Part]:
    """Return what a context and its model have, or would have after a dry load, one entry a kind of memory."""
    llama = _llama()
    # A value of a class goes where the hidden first argument points. It is never freed: the process is about to end.
    found = _Map()
    llama._Z26llama_get_memory_breakdownPK13llama_context(ctypes.addressof(found), context)
    nodes = list(_nodes(found.root))
    if len(nodes) != found.count:
        raise RuntimeError(f"llama.cpp's account has {found.count} entries, and {len(nodes)} were read")
    return [
        Part(llama.ggml_backend_buft_is_host(kind), sizes.model, sizes.context, sizes.compute) for kind, sizes in nodes
    ]


def _nodes(node: Any) -> Iterator[tuple[int, _Sizes]]:
    if node:
        entry = node.contents
        yield from _nodes(entry.left)
        yield entry.buffer_type, entry.sizes
        yield from _nodes(entry.right)


def outputs(log: Iterable[str]) -> int:
    """Return the bytes of the buffers for logits, which are allocated by a dry run, too; `log`: what llama.cpp said of one context."""
    return _sum(_OUTPUT, log)


def recurrent(log: Iterable[str]) -> int:
    """Return the bytes of recurrent states, which are allocated by a dry run, too, or a little less."""
    return max(0, _sum(_RECURRENT, log) - 2 * round(_HALF_DIGIT * _MIB))


def graphs(log: Iterable[str]) -> int:
    """Return the bytes of the graphs that a context makes when it first computes."""
    llama = _llama()
    most = max((int(found[1]) for line in log if (found := _NODES.search(line))), default=0)
    return _RESULTS * int(llama.ggml_tensor_overhead() * most + llama.ggml_graph_overhead_custom(most, False))


def _sum(pattern: re.Pattern[str], log: Iterable[str]) -> int:
    told = (float(found[1]) for line in log if (found := pattern.search(line)))
    return sum(round((size + _HALF_DIGIT) * _MIB) for size in told)
