"""GGUF files of any content, written from nothing, and damage of all kinds to them."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

TEXT, ARRAY = 8, 9
SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
KEYS: Final = (
    "general.architecture",
    "general.type",
    "adapter.type",
    "adapter.alora.invocation_tokens",
    "split.count",
    "split.no",
    "tokenizer.ggml.tokens",
    "llama.context_length",
    "llama.pooling_type",
    "bert.attention.causal",
)
"""What the worker looks at; with any other key it could not come far."""
WORDS: Final = (b"llama", b"bert", b"adapter", b"lora", b"model", b"clip", b"")
EDGES: Final = (0, 1, 2, 4, 9, 255, 65_536, 2_000_000, 2**31, 2**32 - 1, 2**61 + 1, 2**63, 2**64 - 1)


@dataclass(frozen=True)
class Value:
    """A value as it is written: `data`, of type `kind`, and what is read of it: `seen`, or the length of a list."""

    kind: int
    data: bytes
    seen: object
    listed: bool = False


@dataclass(frozen=True)
class Tensor:
    """One entry of the list of tensors."""

    name: bytes
    shape: tuple[int, ...]
    kind: int
    offset: int


@dataclass(frozen=True)
class File:
    """What a file says of itself."""

    version: int
    values: dict[str, Value]
    tensors: tuple[Tensor, ...]

    def header(self) -> bytes:
        """Return the header as it is written."""
        parts = [b"GGUF", struct.pack("<IQQ", self.version, len(self.tensors), len(self.values))]
        for key, value in self.values.items():
            parts += [text(key.encode()), struct.pack("<I", value.kind), value.data]
        for one in self.tensors:
            parts += [text(one.name), struct.pack(f"<I{len(one.shape)}Q", len(one.shape), *one.shape)]
            parts.append(struct.pack("<IQ", one.kind, one.offset))
        return b"".join(parts)

    @property
    def behind(self) -> int:
        """Bytes behind the header, as many as the tensors' offsets ask for."""
        return 1 + max((one.offset for one in self.tensors), default=0)


def text(data: bytes) -> bytes:
    """Return a text as it is written."""
    return struct.pack("<Q", len(data)) + data


def _scalar(kind: int, data: bytes) -> Value:
    form = struct.Struct(f"<{SCALARS[kind]}")
    return Value(kind, data[: form.size], form.unpack(data[: form.size])[0])


def _list(kind: int, items: list[bytes]) -> Value:
    if kind == TEXT:
        inner = b"".join(map(text, items))
    else:
        inner = b"".join(item.ljust(8, b"\0")[: struct.calcsize(SCALARS[kind])] for item in items)
    return Value(ARRAY, struct.pack("<IQ", kind, len(items)) + inner, len(items), listed=True)


_TEXTS = st.one_of(st.sampled_from(WORDS), st.binary(max_size=200))
_VALUES = st.one_of(
    _TEXTS.map(lambda data: Value(TEXT, text(data), data.decode("utf-8", "replace"))),
    st.builds(_scalar, st.sampled_from(sorted(SCALARS)), st.binary(min_size=8, max_size=8)),
    st.builds(_list, st.sampled_from([TEXT, *SCALARS]), st.lists(st.binary(max_size=20), max_size=20)),
)
_TENSORS = st.builds(
    Tensor,
    st.binary(max_size=80),
    st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
    st.integers(0, 255),
    st.integers(0, 5_000),
)
FILES = st.builds(
    File,
    st.sampled_from([2, 3]),
    st.dictionaries(
        st.one_of(st.sampled_from(KEYS), st.text(st.characters(exclude_categories=("Cs",)), max_size=90)),
        _VALUES,
        max_size=12,
    ),
    st.lists(_TENSORS, max_size=8).map(tuple),
)

_Damage = tuple[str, int, bytes]
_NUMBERS = st.one_of(
    st.binary(min_size=1, max_size=1),
    st.sampled_from(EDGES).map(lambda number: struct.pack("<Q", number)),
    st.sampled_from(EDGES[:10]).map(lambda number: struct.pack("<I", number)),
    st.sampled_from(WORDS + tuple(key.encode() for key in KEYS)),
    st.binary(max_size=40),
)
# Not `integers`, which are small more often than not: most damage would be at the beginning, and nothing behind that be read.
_WHERE = st.sampled_from(range(14_000))
_KINDS = st.sampled_from(["put", "put", "insert", "remove", "repeat"])
DAMAGE: st.SearchStrategy[list[_Damage]] = st.one_of(
    # One byte or two leave most headers whole: what is read then comes to those who look at it.
    st.lists(st.tuples(st.just("put"), _WHERE, st.binary(min_size=1, max_size=1)), min_size=1, max_size=2),
    st.lists(st.tuples(_KINDS, _WHERE, _NUMBERS), min_size=1, max_size=8),
    st.tuples(st.just("cut"), _WHERE, st.just(b"")).map(lambda one: [one]),
)


def damaged(data: bytes, damage: list[_Damage]) -> bytes:
    """Return `data` after all of `damage`, behind its version; places beyond the end count from there again."""
    for what, where, new in damage:
        at = min(8, len(data)) + where % max(1, len(data) - 7)
        match what:
            case "put":
                data = data[:at] + new + data[at + len(new) :]
            case "insert":
                data = data[:at] + new + data[at:]
            case "remove":
                data = data[:at] + data[at + max(1, len(new)) :]
            case "repeat":
                data = data[:at] + data[max(0, at - 64) :]
            case "cut":
                data = data[:at]
    return data
