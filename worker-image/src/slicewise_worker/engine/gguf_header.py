"""What a GGUF file says of itself, read in bounded memory and time before llama.cpp sees it.

A model file is untrusted input: a count, a length or a type that does not hold together is reported with its key, not found out by
an allocation. Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md. Reads the header only, never a weight.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MOST_HEADER_BYTES: Final = 128 << 20
"""A vocabulary of 260,000 tokens with its merges takes 15 MiB."""
MOST_KEYS: Final = 65_536
MOST_TENSORS: Final = 1_000_000
MOST_ELEMENTS: Final = 2_000_000
"""Texts in one list; the largest vocabularies have 260,000, with twice as many merges. llama.cpp keeps each several times."""
MOST_KEPT: Final = 4 << 20
"""Bytes of all texts that are kept, and of all keys; some files carry a whole tokenizer as one text, which is passed over."""
MOST_PARTS: Final = 64
"""Of a split model; the largest that are published have some thirty."""
_LONGEST_KEY: Final = 65_535
_MOST_DIMENSIONS: Final = 4
_MOST_TYPE: Final = 255
"""ggml has 42 types of numbers."""
_LEAST: Final = 24
"""Magic, version and two counts."""

_TEXT, _ARRAY = 8, 9
_SCALARS: Final[Mapping[int, struct.Struct]] = {
    number: struct.Struct(f"<{code}")
    for number, code in {
        0: "B",
        1: "b",
        2: "H",
        3: "h",
        4: "I",
        5: "i",
        6: "f",
        7: "?",
        10: "Q",
        11: "q",
        12: "d",
    }.items()
}
_U32, _U64 = struct.Struct("<I"), struct.Struct("<Q")

Value = int | float | bool | str


class HeaderError(Exception):
    """The header does not hold together; the message says where."""


class LongHeaderError(HeaderError):
    """The header goes on behind what was read of the file."""


@dataclass(frozen=True, slots=True)
class Header:
    """The metadata of a GGUF file without its lists."""

    values: Mapping[str, Value]
    lists: Mapping[str, int]
    """Key → elements, of the values that are lists or too long to keep."""
    tensors: int
    widest: int = 0
    """The largest dimension of a tensor."""
    longest_row: int = 0
    """Numbers in the longest row of a matrix."""
    tensor_types: frozenset[int] = frozenset()
    """Types of the tensors' numbers (`ggml_type`)."""

    def text(self, key: str) -> str:
        """Return a text, empty if it is missing."""
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def number(self, key: str) -> int | None:
        """Return a whole number or truth value, None if it is missing."""
        value = self.values.get(key)
        return int(value) if isinstance(value, int) else None


def read_header(path: Path) -> Header:
    """Return what the file says of itself; raises `HeaderError`, or `OSError` when it cannot be read."""
    with path.open("rb") as file:
        size = path.stat().st_size
        if size < _LEAST:
            raise HeaderError(f"it has {size} bytes, less than a header")
        with mmap.mmap(file.fileno(), min(size, MOST_HEADER_BYTES), access=mmap.ACCESS_READ) as data:
            return _Reader(data, size).header()


def parse_header(data: bytes, size: int) -> Header:
    """Return what the beginning `data` of a file of `size` bytes says; raises `HeaderError`, `LongHeaderError` where it is too short."""
    return _Reader(data, size).header()


class _Reader:
    """A position in the header; every step says what it is for, so that an error can."""

    def __init__(self, data: mmap.mmap | bytes, size: int) -> None:
        self._data, self._size, self._at = data, size, 0
        self._room = MOST_KEPT

    def header(self) -> Header:
        if self._take(4, "the magic") != b"GGUF":
            raise HeaderError("it does not begin with 'GGUF'")
        version = self._number(_U32, "the version")
        if version not in {2, 3}:
            swapped = int.from_bytes(version.to_bytes(4, "little"), "big")
            what = "is of a big-endian machine" if swapped in {2, 3} else f"has version {version} of GGUF"
            raise HeaderError(f"it {what}, and versions 2 and 3, little-endian, are read")
        tensors = self._count(_U64, "the number of tensors", MOST_TENSORS)
        keys = self._count(_U64, "the number of metadata keys", MOST_KEYS)
        values: dict[str, Value] = {}
        lists: dict[str, int] = {}
        named = 0
        for index in range(keys):
            begin = self._at
            key = self._text(f"metadata key {index}", _LONGEST_KEY)
            named += self._at - begin
            if named > MOST_KEPT:
                raise HeaderError(f"its metadata keys are longer than {MOST_KEPT >> 20} MiB together")
            if key in values or key in lists:
                raise HeaderError(f"metadata key {_short(key)} is there twice")
            kind = self._number(_U32, f"the type of {_short(key)}")
            if kind == _ARRAY:
                lists[key] = self._skip_list(key)
            elif (value := self._value(key, kind)) is not None:
                values[key] = value
            else:
                lists[key] = 1
        widest, longest_row, types = self._tensors(tensors)
        return Header(values, lists, tensors, widest, longest_row, types)

    def _value(self, key: str, kind: int) -> Value | None:
        """Return a value; None for a text that is too long to keep."""
        if kind == _TEXT:
            size = self._number(_U64, f"the length of {_short(key)}")
            if size > self._room:
                self._skip(size, f"{_short(key)}, a text of {size} bytes")
                return None
            self._room -= size
            return self._take(size, _short(key)).decode("utf-8", "replace")
        if kind not in _SCALARS:
            raise HeaderError(f"{_short(key)} is of type {kind}, which GGUF does not have")
        form = _SCALARS[kind]
        value: Value = form.unpack(self._take(form.size, _short(key)))[0]
        return value

    def _skip_list(self, key: str) -> int:
        kind = self._number(_U32, f"the type of {_short(key)}")
        count = self._number(_U64, f"the length of {_short(key)}")
        if kind in _SCALARS:
            self._skip(count * _SCALARS[kind].size, f"{_short(key)}, a list of {count}")
        elif kind == _TEXT:
            if count > MOST_ELEMENTS:
                raise HeaderError(f"{_short(key)} is a list of {count} texts, and {MOST_ELEMENTS} is the most")
            self._skip_texts(count, f"a text in {_short(key)}")
        else:
            raise HeaderError(f"{_short(key)} is a list of type {kind}, which GGUF does not have")
        return count

    def _skip_texts(self, count: int, what: str) -> None:
        # Most of the time that a header takes goes in here: a tokenizer has 150,000 texts and as many merges.
        data, at, length_of = self._data, self._at, _U64.unpack_from
        last = len(data) - _U64.size
        for _ in range(count):
            if at > last:
                break
            at += _U64.size + length_of(data, at)[0]
        else:
            if at <= len(data):
                self._at = at
                return
        # Again, step by step, to the one that goes too far.
        for _ in range(count):
            self._skip(self._number(_U64, what), what)

    def _tensors(self, count: int) -> tuple[int, int, frozenset[int]]:
        """Go through the list of tensors, where each begins must lie within the file.

        Return the widest dimension, the longest row of a matrix, and the types.
        """
        furthest = widest = longest_row = 0
        types = set()
        for index in range(count):
            name = _short(self._text(f"the name of tensor {index}", _LONGEST_KEY))
            dimensions = self._number(_U32, f"the dimensions of {name}")
            if dimensions > _MOST_DIMENSIONS:
                raise HeaderError(f"tensor {name} has {dimensions} dimensions, and {_MOST_DIMENSIONS} is the most")
            sizes = [self._number(_U64, f"the shape of {name}") for _ in range(dimensions)]
            widest = max(widest, *sizes, 0)
            longest_row = max(longest_row, *sizes[: dimensions > 1], 0)
            kind = self._number(_U32, f"the type of {name}")
            if kind > _MOST_TYPE:
                raise HeaderError(f"tensor {name} is of type {kind}, which ggml does not have")
            types.add(kind)
            furthest = max(furthest, self._number(_U64, f"the offset of {name}"))
        if count and self._at + furthest >= self._size:
            raise HeaderError(f"it ends before its last tensor: it has {self._size} bytes and is cut short")
        return widest, longest_row, frozenset(types)

    def _text(self, what: str, most: int) -> str:
        size = self._number(_U64, f"the length of {what}")
        if size > most:
            raise HeaderError(f"{what} is a text of {size} bytes, and {most} is the most")
        return self._take(size, what).decode("utf-8", "replace")

    def _count(self, form: struct.Struct, what: str, most: int) -> int:
        count = self._number(form, what)
        if count > most:
            raise HeaderError(f"{what} is {count}, and {most} is the most")
        return count

    def _number(self, form: struct.Struct, what: str) -> int:
        return int(form.unpack(self._take(form.size, what))[0])

    def _take(self, size: int, what: str) -> bytes:
        start = self._at
        self._skip(size, what)
        return self._data[start : self._at]

    def _skip(self, size: int, what: str) -> None:
        if size > len(self._data) - self._at:
            if self._size > len(self._data):
                raise LongHeaderError(f"its header is longer than {len(self._data) >> 20} MiB (at {what})")
            raise HeaderError(f"it has {self._size} bytes and ends within {what}")
        self._at += size


def _short(key: str) -> str:
    return repr(key if len(key) <= 80 else f"{key[:77]}...")
