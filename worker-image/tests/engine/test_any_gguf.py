"""Whatever a model file holds, it is read as it was written or refused in words, in memory that its size bounds."""

from __future__ import annotations

import mmap
import tracemalloc
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from any_gguf import DAMAGE, FILES, File, damaged
from encoders import write_bert
from fuzzing import fuzzed
from hypothesis import strategies as st

from slicewise_worker.engine.gguf_header import _Reader, read_header
from slicewise_worker.engine.model_kind import Kind, Role
from slicewise_worker.engine.weights import WeightsError, inspect, inspect_adapter

LONGEST_WORDS = 600
REASONS = {"ModelCorrupt", "ModelUnsupported"}
TEXT = Kind(Role.TEXT, None, "llama")
MOST_HEADER = 60_000
"""Bytes of the headers here; what is behind them is never read."""


@pytest.fixture(scope="module")
def real(tiny: Path, tiny_adapters: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files that are served."""
    return [tiny, tiny_adapters["one"], write_bert(tmp_path_factory.mktemp("any") / "bert.gguf", 4)]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file of each input lies."""
    return tmp_path_factory.mktemp("any") / "m.gguf"


def refused_or_read(path: Path, look: Callable[[Path], object]) -> None:
    """Fail where `look` raises anything but words of a bounded length, or takes more memory than a few copies of the file."""
    refused = None
    tracemalloc.start()
    try:
        look(path)
    except WeightsError as error:
        refused = error
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert refused is None or (refused.reason in REASONS and 0 < len(str(refused)) <= LONGEST_WORDS)
    # Of a file with zeros for its weights, too: no more than a header is read.
    assert most < (1 << 20) + 16 * min(path.stat().st_size, MOST_HEADER)


@cache
def header_bytes(path: Path) -> int:
    """Return how long the header of a whole file is."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Reader(data, path.stat().st_size)
        reader.header()
        return reader._at


def looked_at(path: Path, data: bytes, behind: int = 0) -> None:
    """Look at a file of `data` and `behind` bytes more, in which nothing is read."""
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + behind)
    refused_or_read(path, inspect)
    refused_or_read(path, lambda path: inspect_adapter(path, TEXT, 512))


@fuzzed(40, FILES)
def test_any_header_is_read_as_it_was_written(path: Path, file: File) -> None:
    looked_at(path, file.header(), file.behind)
    header = read_header(path)
    assert header.lists == {key: value.seen for key, value in file.values.items() if value.listed}
    # By their text: of numbers that are none each is another one.
    assert repr(header.values) == repr({key: value.seen for key, value in file.values.items() if not value.listed})
    assert header.tensors == len(file.tensors)
    assert header.widest == max((size for one in file.tensors for size in one.shape), default=0)
    assert header.tensor_types == {one.kind for one in file.tensors}


@fuzzed(40, FILES, DAMAGE)
def test_any_damage_to_a_made_header_is_told_in_words(path: Path, file: File, damage: list) -> None:
    data = damaged(file.header(), damage)
    # What was cut is the end of the file.
    looked_at(path, data, 0 if damage[-1][0] == "cut" else file.behind)


def test_the_real_files_are_taken_as_they_are(real: list[Path]) -> None:
    """Else damage to them would be told of a file that is refused anyway."""
    text, adapter, bert = real
    assert (inspect(text).role, inspect(bert).role) == (Role.TEXT, Role.RERANK)
    assert inspect_adapter(adapter, inspect(text), 512) > 0


@fuzzed(40, st.integers(0, 2), DAMAGE)
def test_any_damage_to_a_real_file_is_told_in_words(path: Path, real: list[Path], which: int, damage: list) -> None:
    path_of = real[which]
    with path_of.open("rb") as file:
        header = file.read(header_bytes(path_of))
    # Zeros stand for the weights: they are never read, and so much would have to be copied for each input.
    behind = path_of.stat().st_size - len(header)
    looked_at(path, damaged(header, damage), 0 if damage[-1][0] == "cut" else behind)


@fuzzed(40, st.binary(max_size=400), st.booleans())
def test_any_bytes_are_told_in_words(path: Path, data: bytes, begins: bool) -> None:
    looked_at(path, b"GGUF\x03\0\0\0" + data if begins else data)
