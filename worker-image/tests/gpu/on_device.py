"""What must hold of a worker on a GPU, on a device in software (`test_gpu.py`) and on a real one (`test_real_gpu.py`) alike."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from slicewise_worker.engine.fit import measure
from slicewise_worker.engine.llama import ContextShape

SHORT: Final = {"model": "chat", "prompt": "zone", "max_tokens": 4, "temperature": 0}
_BUFFER: Final = re.compile(r"\S+ +(\S+) +(?:model|KV|compute|output) buffer size = +([\d.]+) MiB")
_OFFLOADED: Final = re.compile(r"offloaded (\d+)/(\d+) layers to GPU")
_MIB: Final = 1 << 20


def check_offload(worker: Any, name: str) -> None:
    """Fail where `worker`, which logs at the level debug, does not compute all on the device whose name has `name` in it."""
    facts = worker.get("/v1/worker").json()
    assert (facts["on_gpu"], facts["reason"]) == (True, "")
    assert name in facts["device"]
    assert worker.metric("slicewise_worker_on_gpu") == 1
    ((there, all_of_them),) = _OFFLOADED.findall(worker.log())
    assert there == all_of_them
    caches = [device for device, _ in _buffers(worker.log(), "KV")]
    assert caches, "llama.cpp does not say where the cache is"
    assert not [device for device in caches if device.startswith("CPU")]
    assert worker.post("/v1/completions", SHORT).json()["choices"][0]["text"] != ""


def _buffers(log: str, kind: str = "") -> list[tuple[str, float]]:
    """Return device and MiB of the buffers that llama.cpp says it has allocated."""
    lines = [line for line in log.splitlines() if f"{kind} buffer size" in line]
    return [(found[1], float(found[2])) for line in lines if (found := _BUFFER.search(line))]


def allocated(worker: Any) -> int:
    """Return the bytes that llama.cpp says it has allocated for a worker which logs at the level debug."""
    return round(sum(size for _, size in _buffers(worker.log())) * _MIB)


def predicted(path: Path, context_tokens: int, sequences: int, chunk: int) -> int:
    """Return the bytes that the dry run foresees on a GPU for a worker with these settings."""
    shape = ContextShape(context_tokens * sequences, chunk + sequences, sequences, "f16", threads=1)
    return measure(path, shape, gpu=True).total


def check_prediction(foreseen: int, taken: int) -> None:
    """Fail where `taken` bytes are further from those that were `foreseen` than 2 % and 64 MiB."""
    apart = abs(foreseen - taken)
    assert apart <= max(taken // 50, 64 * _MIB), (
        f"{foreseen / _MIB:.0f} MiB were foreseen, and {taken / _MIB:.0f} MiB are taken"
    )
