"""A worker that cannot serve ends with one readable line, and leaves the reason for the operator."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest


def ended(worker) -> dict[str, str]:
    """Return the verdict of a worker that must have ended by itself."""
    assert worker.wait() == 1
    verdict = worker.verdict()
    assert sorted(verdict) == ["message", "reason"]
    lines = [line for line in worker.log().splitlines() if f"{verdict['reason']}: " in line]
    assert len(lines) == 1, worker.log()
    assert "Traceback" not in worker.log()
    return verdict


def test_no_result_of_the_fetch(start_worker, tiny, tmp_path: Path) -> None:
    verdict = ended(start_worker(tiny, ready=False, weights_file=tmp_path / "nothing.json"))
    assert verdict["reason"] == "WeightsMissing"
    assert "did the init container run" in verdict["message"]


def test_a_flipped_bit(start_worker, tiny, tmp_path: Path, weights_file) -> None:
    damaged = tmp_path / "model.gguf"
    data = bytearray(tiny.read_bytes())
    data[-100] ^= 4
    damaged.write_bytes(data)
    good = json.loads(weights_file(tiny).read_text())
    verdict = ended(start_worker(tiny, ready=False, weights_file=weights_file(damaged, good["digest"])))
    assert verdict["reason"] == "DigestMismatch"
    assert good["digest"] in verdict["message"]


@pytest.mark.parametrize("cut", [100, 100_000])
def test_a_file_that_is_corrupt_though_its_digest_is_right(
    start_worker, tiny, tmp_path, weights_file, cut: int
) -> None:
    corrupt = tmp_path / "model.gguf"
    corrupt.write_bytes(tiny.read_bytes()[:cut])
    verdict = ended(start_worker(tiny, ready=False, weights_file=weights_file(corrupt)))
    assert verdict["reason"] == "ModelUnusable"
    assert str(corrupt) in verdict["message"]


def test_a_context_longer_than_the_model_was_trained_for(start_worker, tiny) -> None:
    verdict = ended(start_worker(tiny, ready=False, context_tokens=40_000))
    assert verdict["reason"] == "ContextTooLong"
    assert "set contextTokens to 32768 or less" in verdict["message"]


def test_settings_that_are_wrong(start_worker, tiny) -> None:
    verdict = ended(start_worker(tiny, ready=False, kv_cache_type="f8", context_tokens="many"))
    assert verdict["reason"] == "BadSettings"
    assert "SLICEWISE_WORKER_KV_CACHE_TYPE" in verdict["message"]
    assert "SLICEWISE_WORKER_CONTEXT_TOKENS" in verdict["message"]


def test_a_port_that_is_taken(start_worker, tiny) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        verdict = ended(start_worker(tiny, ready=False, port=taken.getsockname()[1]))
    assert verdict["reason"] == "PortUnusable"
