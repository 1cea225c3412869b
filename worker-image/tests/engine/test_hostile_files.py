"""A model file is untrusted: what does not hold together is told from the header, in bounded memory and time."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

from slicewise_worker.engine.gguf_header import HeaderError, read_header
from slicewise_worker.engine.weights import WeightsError, inspect

HUGE = 2**63
TEXT, ARRAY = 8, 9


def number(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: str) -> bytes:
    return number(len(value)) + value.encode()


def head(tensors: int = 0, keys: int = 1, version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<I", version) + number(tensors) + number(keys)


def key(kind: int, value: bytes, name: str = "general.architecture") -> bytes:
    return text(name) + struct.pack("<I", kind) + value


def several(kind: int, count: int, value: bytes = b"") -> bytes:
    return key(ARRAY, struct.pack("<I", kind) + number(count) + value, "tokenizer.ggml.tokens")


FILES = {
    "nothing": (b"", "less than a header"),
    "no GGUF": (b"<html>" * 10, "does not begin with 'GGUF'"),
    "a version to come": (head(version=9), "version 9 of GGUF"),
    "another machine's": (b"GGUF" + struct.pack(">I", 3) + bytes(16), "big-endian"),
    "huge count of keys": (head(keys=HUGE), "number of metadata keys is 9223372036854775808"),
    "many keys": (head(keys=65_000), "ends within"),
    "huge count of tensors": (head(tensors=HUGE), "number of tensors"),
    "a long name of a key": (head() + number(HUGE), "metadata key 0 is a text of 9223372036854775808 bytes"),
    "a long text": (head() + key(TEXT, number(HUGE)), "'general.architecture', a text of 9223372036854775808 bytes"),
    "a text that is cut": (head() + key(TEXT, number(100) + b"llama"), "ends within"),
    "a long list": (head() + several(0, HUGE), "a list of 9223372036854775808"),
    "a list that wraps round": (head() + several(12, 2**61 + 1), "ends within"),
    "a long list of texts": (head() + several(TEXT, HUGE), "texts, and 2000000 is the most"),
    "a list of lists": (head() + several(ARRAY, 4), "a list of type 9"),
    "an unknown type": (head() + key(77, b""), "of type 77"),
    "a key twice": (head(keys=2) + key(TEXT, text("llama")) * 2, "twice"),
    "an unknown type in a list": (head() + several(77, 4), "a list of type 77"),
    "too many dimensions": (
        head(1, 1) + key(TEXT, text("llama")) + text("t") + struct.pack("<I", 2**32 - 1),
        "4294967295 dimensions",
    ),
    "a tensor beyond the end": (
        head(1, 1) + key(TEXT, text("llama")) + text("t") + struct.pack("<IQIQ", 1, 32, 0, HUGE),
        "cut short",
    ),
    "many long keys": (
        head(keys=70) + b"".join(key(0, b"\0", f"{index:065000d}") for index in range(70)),
        "keys are longer than 4 MiB together",
    ),
    "an unknown type of a tensor": (
        head(1, 1) + key(TEXT, text("llama")) + text("t") + struct.pack("<IQIQ", 1, 32, 256, 0),
        "tensor 't' is of type 256",
    ),
    "a tensor that is missing": (head(5, 1) + key(TEXT, text("llama")), "ends within"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_header_that_does_not_hold_together_is_told(tmp_path: Path, name: str) -> None:
    data, words = FILES[name]
    path = tmp_path / "m.gguf"
    path.write_bytes(data)
    tracemalloc.start()
    try:
        with pytest.raises(WeightsError, match=words) as error:
            inspect(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert error.value.reason == "ModelCorrupt"
    assert len(str(error.value)) < 500


@pytest.mark.parametrize("value", [key(4, struct.pack("<I", 5)), key(7, b"\1"), several(TEXT, 0)])
def test_an_architecture_that_is_no_text_is_told(tmp_path: Path, value: bytes) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(head() + value)
    with pytest.raises(WeightsError, match="does not say its architecture"):
        inspect(path)


def test_a_huge_file_is_read_as_far_as_a_header_may_go(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(head() + several(0, 1 << 34))
    with path.open("r+b") as file:
        file.truncate(1 << 35)
    with pytest.raises(HeaderError, match="longer than 128 MiB"):
        read_header(path)


def test_long_texts_are_kept_as_far_as_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    texts = [key(TEXT, text("x" * (3 << 20)), name) for name in ("first", "second")]
    path.write_bytes(head(keys=3) + b"".join(texts) + key(TEXT, text("llama")))
    header = read_header(path)
    assert [*header.values] == ["first", "general.architecture"]
    assert header.lists == {"second": 1}
