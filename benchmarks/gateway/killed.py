"""A worker that dies under load: who notices, when, and what it costs."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections import Counter
from pathlib import Path

from contestants import ours
from processes import Upstream, load, upstreams
from report import Figure, Report
from rig.edge import EdgeRig
from rig.envoy import STABLE

_PAUSE = 0.05
"""Seconds that an answer takes, so that requests run on the worker when it dies. It answers in one piece: until then there is no byte."""
_BEFORE, _AFTER = 3.0, 4.0
_WINDOW = 2.0
"""Seconds after the kill in which tries are counted against requests."""


async def killed(report: Report, directory: Path, rate: float, kills: int) -> None:
    """Kill one of three workers, so often."""
    out: list[float] = []
    failed: Counter[int] = Counter()
    requests = 0
    amplified: list[float] = []
    with upstreams(directory, 3, _PAUSE) as workers:
        async with ours(directory / "ours-killed", workers) as pod:
            for number in range(kills):
                victim = workers[number % len(workers)]
                loading = asyncio.create_task(load(pod.rig.model.ports.http, rate, _BEFORE + _AFTER, seed=number))
                await asyncio.sleep(_BEFORE)
                seconds, tries = await _kill(pod, victim)
                samples = await loading
                out.append(seconds)
                amplified.append(tries)
                failed.update(found.status for found in samples if found.status != 200)
                requests += len(samples)
                victim.start()
                await pod.rig.healthy(STABLE, 4)
    spread = (min(out), max(out))
    note = f"of {requests}, none of which had a byte yet; statuses: {dict(failed) or 'all 200'}"
    report.add(
        Figure("killed_worker_out_of_rotation", statistics.median(out), "s", 1.0, ci=spread, note=f"{kills} kills")
    )
    report.add(Figure("killed_worker_failed", failed.total(), "requests", 0, note=note))
    report.add(
        Figure(
            "killed_worker_amplification",
            statistics.median(amplified),
            "×",
            1.2,
            ci=(min(amplified), max(amplified)),
            note=f"tries by requests in the {_WINDOW:g} s after the kill",
        )
    )


async def _kill(pod: EdgeRig, victim: Upstream) -> tuple[float, float]:
    """Return after how many seconds Envoy had one worker less, and tries by requests of the time after the kill."""
    tries, asked = f"cluster.rev-{STABLE}.upstream_rq_total", "http.pool.downstream_rq_total"
    before = [await pod.rig.stat(tries), await pod.rig.stat(asked)]
    started = time.monotonic()
    victim.kill()
    # Three workers and the edge; one less.
    while await pod.rig.stat(f"cluster.rev-{STABLE}.membership_healthy") != 3:
        if time.monotonic() - started > _AFTER:
            break
        await asyncio.sleep(0.01)
    out = time.monotonic() - started
    await asyncio.sleep(max(0, _WINDOW - out))
    after = [await pod.rig.stat(tries), await pod.rig.stat(asked)]
    went, came = (int(last or 0) - int(first or 0) for first, last in zip(before, after, strict=True))
    return out, went / max(1, came)
