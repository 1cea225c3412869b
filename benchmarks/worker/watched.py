"""A worker that writes down when its event loop was late and when its engine ended a step: lines of JSON on standard output.

As a program it is the worker, with its settings; BENCH_STEP_DELAY is the least time of a step, in seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

from slicewise_worker import __main__, server
from slicewise_worker.engine.llama import Model
from slicewise_worker.engine.report import Step
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.starting import Starting

TICK = 0.001


def _write(kind: str, seconds: float) -> None:
    sys.stdout.write(json.dumps({"kind": kind, "at": time.monotonic(), "seconds": seconds}) + "\n")
    sys.stdout.flush()


async def _tick() -> None:
    before, processor = time.monotonic(), time.process_time()
    while True:
        await asyncio.sleep(TICK)
        now = time.monotonic()
        if (late := now - before - TICK) > TICK:
            _write("late", late)
            # What this process computed meanwhile: no more of it can be its own fault, the rest is the machine's.
            _write("busy", min(late, time.process_time() - processor))
        before, processor = time.monotonic(), time.process_time()


class _Metrics(WorkerMetrics):
    def stepped(self, step: Step) -> None:
        _write("step", step.seconds)
        super().stepped(step)


class _SlowModel(Model):
    def _step_delay(self) -> float:
        return float(os.environ.get("BENCH_STEP_DELAY", "0"))


_SERVE = server.serve


async def _serve(starting: Starting) -> None:
    ticking: asyncio.Task[Any] = asyncio.create_task(_tick())
    try:
        await _SERVE(starting)
    finally:
        ticking.cancel()


if __name__ == "__main__":
    server.WorkerMetrics = _Metrics  # type: ignore[misc]
    Model._step_delay = _SlowModel._step_delay  # type: ignore[method-assign]
    server.serve = _serve
    __main__.main()
