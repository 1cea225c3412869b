"""Whatever is damaged in a model's header, the real child of the dry run measures it or says in words why not, within its bounds."""

from __future__ import annotations

import mmap
import resource
from dataclasses import astuple
from pathlib import Path

import pytest
from any_gguf import DAMAGE, damaged
from fuzzing import fuzzed

from slicewise_worker.engine.dry_run import ADDRESS_BYTES
from slicewise_worker.engine.fit import DryRun, UnusableError
from slicewise_worker.engine.gguf_header import _Reader
from slicewise_worker.engine.shape import ContextShape

SHAPE = ContextShape(tokens=512, batch=32, sequences=2, kv_type="f16", threads=1)
LONGEST_WORDS = 800
BEGINNING = 1 << 30
"""What a child has mapped and used before its bound is set, with room."""
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def whole(tiny: Path) -> tuple[bytes, int]:
    """The header of a model that is served, and how many bytes are behind it."""
    size = tiny.stat().st_size
    with tiny.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        reader = _Reader(data, size)
        reader.header()
        return data[: reader._at], size - reader._at


@fuzzed(25, DAMAGE)
def test_any_damage_to_a_header_is_measured_or_told_by_the_child(
    whole: tuple[bytes, int], tmp_path_factory: pytest.TempPathFactory, damage: list
) -> None:
    path = tmp_path_factory.getbasetemp() / "any_fit.gguf"
    header, behind = whole
    data = damaged(header, damage)
    path.write_bytes(data)
    with path.open("r+b") as file:
        file.truncate(len(data) + (0 if damage[-1][0] == "cut" else behind))
    try:
        with DryRun(path, gpu=False) as dry:
            assert min(astuple(dry.measure(SHAPE))) >= 0
    except UnusableError as error:
        words = str(error)
        assert 0 < len(words) <= LONGEST_WORDS
        # A time that was over, or a failure that the child itself has no words for.
        assert "did not get through" not in words, words
        assert "Traceback" not in words, words
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10 < ADDRESS_BYTES + BEGINNING
