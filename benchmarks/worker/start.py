"""How long a worker takes from its start until it is ready, beside a program that only loads the same model and generates one token."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from large import worker
from report import Figure, Report, ratio_of_medians

_CONTEXT: Final = 2048
_SLOTS: Final = 4
# Without rich, as in the image: structlog loads it where it is.
_OURS: Final = "import sys; sys.modules['rich'] = None; from slicewise_worker.__main__ import main; main()"
_BARE: Final = f"""
import ctypes, sys
import llama_cpp.llama_cpp as api
api.llama_backend_init()
model = api.llama_model_load_from_file(sys.argv[1].encode(), api.llama_model_default_params())
params = api.llama_context_default_params()
params.n_ctx, params.n_threads, params.n_threads_batch = {_CONTEXT * _SLOTS}, int(sys.argv[2]), int(sys.argv[2])
context = api.llama_init_from_model(model, params)
assert api.llama_decode(context, api.llama_batch_get_one((ctypes.c_int32 * 2)(1, 2), 2)) == 0
api.llama_get_logits(context)[0]
"""


def start(report: Report, path: Path, rounds: int, threads: int) -> None:
    """Add the ratio of both, by the clock and in processor time. The file is in the page cache for both.

    In the second pair the fetch of the worker's pod has found the file in the cache, and has counted its digest.
    """
    for noted in (False, True):
        _start(report, path, rounds, threads, noted=noted)


def _start(report: Report, path: Path, rounds: int, threads: int, *, noted: bool) -> None:
    took: dict[str, tuple[list[float], list[float]]] = {"clock": ([], []), "processor": ([], [])}
    for number in range(rounds + 1):
        bare, ours = _bare(path, threads), _worker(path, threads, noted=noted)
        if number:
            for kind, one, other in zip(took, ours, bare, strict=True):
                took[kind][0].append(one)
                took[kind][1].append(other)
    note = f"{path.name}, {path.stat().st_size >> 20} MiB, context {_CONTEXT} x {_SLOTS}, {threads} threads, {rounds} rounds, in turn"
    for kind, (mine, peer) in took.items():
        value, interval = ratio_of_medians(mine, peer)
        report.add(
            Figure(
                f"start_by_{kind}_beside_bare_load{'_after_a_fetch_from_the_cache' if noted else ''}",
                value,
                "×",
                1.3,
                peer="load and one token, s",
                peer_value=statistics.median(peer),
                ci=interval,
                note=f"{note}; the worker {statistics.median(mine):.2f} s",
            )
        )


def _bare(path: Path, threads: int) -> tuple[float, float]:
    before, began = _children(), time.perf_counter()
    subprocess.run([sys.executable, "-c", _BARE, str(path), str(threads)], check=True, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began, _children() - before


def _worker(path: Path, threads: int, *, noted: bool) -> tuple[float, float]:
    """Return the seconds until it is ready, and the processor's until it is killed then, with those of its children that have ended."""
    given = {"context_tokens": _CONTEXT, "parallel_sequences": _SLOTS, "threads": threads, "drain_delay_seconds": 0}
    before = _children()
    with worker(path, program=["-c", _OURS], noted=noted, **given) as one:
        ready = time.monotonic() - one.began
    return ready, _children() - before


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system
