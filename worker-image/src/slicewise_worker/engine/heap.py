"""What this process has of the C library, by glibc's own count."""

from __future__ import annotations

import ctypes
from typing import ClassVar, Final

_MAPPED, _IN_USE = 4, 7
"""Of the fields of `mallinfo2`: bytes of large pieces, and of all others."""


class _Heap(ctypes.Structure):
    _fields_: ClassVar = [("fields", ctypes.c_size_t * 10)]


_libc: Final = ctypes.CDLL(None)
_libc.mallinfo2.restype = _Heap


def heap_bytes() -> int:
    """Return the bytes that are in use on the heap: what was asked for, not the pages behind it."""
    heap = _libc.mallinfo2().fields
    return int(heap[_MAPPED] + heap[_IN_USE])
