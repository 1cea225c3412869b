"""A running worker keeps its model in the cache; a dead one does not."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def evictable(model: Path) -> bool:
    """Whether the fetch of another pod would be let to remove the file."""
    with model.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


@pytest.mark.parametrize("end", ["terminate", "kill"])
def test_the_model_of_a_worker_is_held_as_long_as_the_worker_lives(
    start_worker: Callable[..., Any], tiny: Path, tmp_path: Path, end: str
) -> None:
    model = tmp_path / "model.gguf"
    shutil.copy(tiny, model)
    worker = start_worker(model)
    assert not evictable(model)
    getattr(worker.process, end)()
    worker.wait()
    assert evictable(model)
