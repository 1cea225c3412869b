"""Digests are counted while the model is loaded, and a worker serves only behind both."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from slicewise_worker.read_back import read_back

ASK = {"model": "chat", "prompt": [5, 6, 7], "max_tokens": 2}
HELD = """
import time
from pathlib import Path
from slicewise_worker import digests
real = digests.verify

def verify(file, go_on):
    while not Path({gate!r}).exists() and go_on(0):
        time.sleep(0.01)
    real(file, go_on)

digests.verify = verify
"""


def loaded(worker: Any) -> None:
    """Wait until all but the digest is done; no request is answered until then."""
    worker.until(lambda: "verifying the digest" in worker.get("/startupz").text)
    assert "memory needed" in worker.log()
    assert "digest verified" not in worker.log()
    for probe in ("/startupz", "/readyz"):
        assert worker.get(probe).status_code == 503
    assert worker.post("/v1/completions", ASK).status_code == 503


def test_a_model_is_loaded_before_its_digest_is_known_and_serves_after(start_worker, tiny, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    worker = start_worker(tiny, ready=False, before=HELD.format(gate=str(gate)))
    loaded(worker)
    gate.touch()
    worker.until(lambda: worker.get("/readyz").status_code == 200)
    assert worker.post("/v1/completions", ASK).status_code == 200
    assert worker.get("/v1/worker").json()["digest_verified"] is True


def test_a_file_that_the_fetch_has_just_read_is_not_read_again(
    start_worker, tiny: Path, tmp_path: Path, weights_file: Callable[..., Path]
) -> None:
    # A file of its own: another process that makes the same model puts its equal file in the place of the first.
    model = Path(shutil.copy(tiny, tmp_path / "model.gguf"))
    noted = read_back(model.stat(), model.stat())
    assert noted is not None
    # However long the worker takes to look at it.
    young = asdict(replace(noted, seconds=noted.seconds + 3600))
    result = weights_file(model)
    fetched = json.loads(result.read_text())
    result.write_text(json.dumps({**fetched, "read_back": young}))
    # Counting would never end.
    before = HELD.format(gate=str(tmp_path / "gate"))
    worker = start_worker(model, weights_file=result, before=before)
    assert worker.get("/v1/worker").json()["digest_verified"] is True
    worker.process.kill()
    worker.wait()
    result.write_text(json.dumps({**fetched, "read_back": {**young, "changed_ns": young["changed_ns"] - 1}}))
    loaded(start_worker(model, ready=False, weights_file=result, before=before))


def test_a_damaged_file_that_can_be_loaded_never_serves(
    start_worker, tiny: Path, tmp_path: Path, weights_file: Callable[..., Path]
) -> None:
    damaged, gate = tmp_path / "model.gguf", tmp_path / "gate"
    data = bytearray(tiny.read_bytes())
    data[-100] ^= 4
    damaged.write_bytes(data)
    good = json.loads(weights_file(tiny).read_text())["digest"]
    worker = start_worker(
        tiny, ready=False, weights_file=weights_file(damaged, good), before=HELD.format(gate=str(gate))
    )
    loaded(worker)
    assert worker.get("/v1/worker").json()["digest_verified"] is False
    gate.touch()
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DigestMismatch"
    assert '"serving"' not in worker.log()


@pytest.mark.parametrize(("begin", "end"), [(0, 4), (300, 5000), (1000, None)], ids=["magic", "header", "cut"])
def test_what_a_damaged_file_breaks_is_put_down_to_the_damage(
    start_worker, tiny: Path, tmp_path: Path, weights_file: Callable[..., Path], begin: int, end: int | None
) -> None:
    damaged = tmp_path / "model.gguf"
    data = tiny.read_bytes()
    damaged.write_bytes(data[:begin] + (b"" if end is None else b"?" * (end - begin) + data[end:]))
    good = json.loads(weights_file(tiny).read_text())["digest"]
    worker = start_worker(tiny, ready=False, weights_file=weights_file(damaged, good))
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DigestMismatch"


def test_a_worker_that_only_waits_for_the_digest_can_be_asked_to_terminate(start_worker, tiny, tmp_path: Path) -> None:
    worker = start_worker(tiny, ready=False, drain_delay_seconds=0, before=HELD.format(gate=str(tmp_path / "gate")))
    loaded(worker)
    worker.terminate()
    assert worker.wait() == 0
    assert not (worker.folder / "termination-log").exists()
