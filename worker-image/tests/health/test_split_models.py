"""A split model is served as the same model in one file is, and a wrong part never is: it is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from retell import split

from slicewise_worker.early import dry_run_ahead
from slicewise_worker.engine.weights import WeightsError, inspect

ASK = {"model": "chat", "prompt": [5, 6, 7], "max_tokens": 8, "temperature": 0}


@pytest.fixture(scope="module")
def parts(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return split(tiny, tmp_path_factory.mktemp("parts"), 8)


def fetched(folder: Path, files: list[Path], weights_file: Callable[..., Path]) -> Path:
    """Return the result of a fetch of these files, whose names in the cache say nothing, as parts of one model."""
    found: list[dict[str, Any]] = []
    for number, path in enumerate(files):
        there = folder / f"{number}" / "model.gguf"
        there.parent.mkdir()
        there.symlink_to(path)
        found.append({**json.loads(weights_file(path).read_text()), "path": str(there), "name": path.name})
    result = folder / "weights.json"
    result.write_text(json.dumps({**found[0], "parts": found[1:]}))
    return result


def test_a_split_model_answers_as_the_whole_one(
    start_worker, tiny: Path, parts: list[Path], tmp_path: Path, weights_file: Callable[..., Path]
) -> None:
    result = fetched(tmp_path, parts, weights_file)
    ahead = dry_run_ahead({"SLICEWISE_WORKER_WEIGHTS_FILE": str(result)})
    assert ahead is not None
    with ahead:
        assert len(ahead.paths) == 3
    worker, whole = start_worker(tiny, weights_file=result), start_worker(tiny)
    answers = [one.post("/v1/completions", ASK).json()["choices"][0]["text"] for one in (worker, whole)]
    assert answers[0] == answers[1] != ""
    assert worker.log().count("digest verified") == 3


def test_a_part_that_is_damaged_never_serves_and_is_named(
    start_worker, tiny: Path, parts: list[Path], tmp_path: Path, weights_file: Callable[..., Path]
) -> None:
    damaged = tmp_path / parts[1].name
    data = bytearray(parts[1].read_bytes())
    data[-100] ^= 4
    damaged.write_bytes(data)
    result = fetched(tmp_path, parts, weights_file)
    (tmp_path / "1" / "model.gguf").unlink()
    (tmp_path / "1" / "model.gguf").symlink_to(damaged)
    worker = start_worker(tiny, ready=False, weights_file=result)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DigestMismatch"
    assert f"part '{parts[1].name}'" in worker.verdict()["message"]


def test_parts_that_are_not_those_of_one_model_are_refused_by_their_headers(
    tiny: Path, parts: list[Path], tmp_path: Path
) -> None:
    assert inspect(*parts) == inspect(tiny)
    first, second, third = parts
    more = split(tiny, tmp_path / "more", 9)
    for files, words in (
        ((first, third, second), r"part 2 of 3 \(.*00003.*\): it is part 3 of 3"),
        ((first, second), r"part 1 of 2 \(.*\): it is part 1 of 3"),
        ((first, second, third, third), r"part 1 of 4 \(.*\): it is part 1 of 3"),
        ((first, tiny, third), r"part 2 of 3 \(.*\): it is a whole model and no part of one"),
        ((first, more[1], third), r"the 3 parts have \d+ tensors together, and the first says 21"),
    ):
        with pytest.raises(WeightsError, match=words) as error:
            inspect(*files)
        assert error.value.reason == "ModelCorrupt"
    with pytest.raises(WeightsError, match="no-such-file") as error:
        inspect(first, second, tmp_path / "no-such-file")
    assert error.value.reason == "WeightsMissing"
