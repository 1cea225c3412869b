"""Requests of 1 MiB beside a stream: how long they hold up the event loop and the engine. And how soon arguments of a call arrive."""

from __future__ import annotations

import hashlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2
from report import Figure, Report, percentile
from servers.processes import free_port

from slicewise_worker.read_back import read_back

MIB = 1 << 20
WATCHED = str(Path(__file__).with_name("watched.py"))
_PATIENCE = 300.0
_TOOL = {"type": "function", "function": {"name": "get_weather", "parameters": {"type": "object"}}}
_ASK = {"model": "chat", "messages": [{"role": "user", "content": "Weather?"}], "temperature": 0}
_LARGE: dict[str, dict[str, Any]] = {
    "one message": {"messages": [{"role": "user", "content": "wind " * (MIB // 5)}]},
    "thousands of messages": {"messages": [{"role": "user", "content": "w" * 400}] * (MIB // 450)},
    "a wrong field at the end": {"messages": [{"role": "user", "content": "w" * MIB}], "seed": "x"},
    "tools": {
        "tools": [{"type": "function", "function": {"name": f"f{n}", "description": "d" * 8000}} for n in range(120)]
    },
}


@dataclass(frozen=True, slots=True)
class _Watched:
    url: str
    notes: Path
    pid: int
    began: float
    """When its process was started, monotonic."""

    def seconds(self, kind: str, start: float, end: float) -> list[float]:
        """Return how long each of `kind` took that ended between two moments."""
        return [note["seconds"] for note in self._read() if note["kind"] == kind and start <= note["at"] <= end]

    def steps(self) -> list[float]:
        """Return when steps ended."""
        return [note["at"] for note in self._read() if note["kind"] == "step"]

    def _read(self) -> list[Any]:
        lines = self.notes.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith('{"kind"') and line.endswith("}")]


@contextmanager
def worker(
    path: Path, program: Sequence[str] = (WATCHED,), *, noted: bool = False, **settings: object
) -> Iterator[_Watched]:
    """Run a worker of the model at `path`; `program`: what Python runs; `noted`: whether its fetch has just read the file."""
    with tempfile.TemporaryDirectory() as name:
        folder, port = Path(name), free_port()
        digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        note = read_back(path.stat(), path.stat()) if noted else None
        weights = {
            "path": str(path),
            "digest": digest,
            "bytes": path.stat().st_size,
            "read_back": note and asdict(note),
        }
        (folder / "weights.json").write_text(json.dumps(weights))
        given = {
            "model_name": "chat",
            "weights_file": folder / "weights.json",
            "host": "127.0.0.1",
            "port": port,
            "threads": 1,
            "termination_log": folder / "end",
            **settings,
        }
        environment = {f"SLICEWISE_WORKER_{key.upper()}": str(value) for key, value in given.items()}
        url, written = f"http://127.0.0.1:{port}", folder / "notes"
        began = time.monotonic()
        with written.open("wb") as notes, (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, *program], env=os.environ | environment, stdout=notes, stderr=log
            )
        try:
            until_ready(f"{url}/readyz", process)
            yield _Watched(url, written, process.pid, began)
        finally:
            process.kill()
            process.wait()


def until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until `url` answers that `process` is ready."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx2.get(url, timeout=_PATIENCE).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.05)
    raise RuntimeError("the worker did not become ready")


def large(report: Report, path: Path, rounds: int) -> None:
    """Add what requests of 1 MiB hold up, beside the same time without them."""
    with worker(path, context_tokens=32_000, parallel_sequences=2) as watched:
        stop = threading.Event()
        stream = threading.Thread(target=_keep_streaming, args=(watched, stop))
        stream.start()
        # What a process does once, at its first request, belongs to no other.
        _send_large(watched)
        began = time.monotonic()
        took = [seconds for _ in range(rounds) for seconds in _send_large(watched)]
        loaded = time.monotonic()
        time.sleep(loaded - began)
        quiet = time.monotonic()
        stop.set()
        stream.join()
        note = f"{rounds} rounds of {', '.join(_LARGE)}, beside a stream"
        for name, kind in (("event_loop_stall", "late"), ("event_loop_own_stall", "busy"), ("engine_step", "step")):
            ours, peers = watched.seconds(kind, began, loaded), watched.seconds(kind, loaded, quiet)
            for what, percent in (("longest", 100.0), ("p99", 99.0)):
                value, peer = (percentile(values or [0.0], percent) * 1000 for values in (ours, peers))
                figure = f"large_requests_{name}_{what}"
                report.add(Figure(figure, value, "ms", peer="without them, ms", peer_value=peer, note=note))
        report.add(Figure("large_request_seconds", statistics.median(took), "s", note=note))


def _send_large(watched: _Watched) -> list[float]:
    """Send one of each kind; return how long each took."""
    took = []
    for fields in _LARGE.values():
        sent = time.monotonic()
        body = _ASK | {"max_tokens": 1} | fields
        httpx2.post(f"{watched.url}/v1/chat/completions", json=body, timeout=_PATIENCE)
        took.append(time.monotonic() - sent)
    return took


def _keep_streaming(watched: _Watched, stop: threading.Event) -> None:
    body = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0, "stream": True}
    while not stop.is_set():
        with httpx2.stream("POST", f"{watched.url}/v1/completions", json=body, timeout=_PATIENCE) as response:
            for _ in response.iter_lines():
                if stop.is_set():
                    break


def arguments(report: Report, path: Path, rounds: int) -> None:
    """Add the time from the end of the step that made a token to the arrival of the arguments it wrote."""
    os.environ["BENCH_STEP_DELAY"] = "0.05"
    arrived: list[float] = []
    with worker(path, context_tokens=2048) as watched:
        body = _ASK | {"tools": [_TOOL], "stream": True, "max_tokens": 50}
        for _ in range(rounds):
            with httpx2.stream("POST", f"{watched.url}/v1/chat/completions", json=body, timeout=_PATIENCE) as response:
                arrived += [time.monotonic() for line in response.iter_lines() if '"arguments":"' in line]
        steps = watched.steps()
    del os.environ["BENCH_STEP_DELAY"]
    late = [at - steps[index - 1] for at in arrived if (index := bisect_right(steps, at))]
    note = f"{len(late)} deltas, steps of 50 ms or more"
    report.add(Figure("tool_arguments_latency", statistics.median(late) * 1000, "ms", note=note))
    report.add(Figure("tool_arguments_latency_p99", percentile(late, 99) * 1000, "ms", note=note))
