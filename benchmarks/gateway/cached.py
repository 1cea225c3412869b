"""The response cache: how long a hit takes, and what a crowd costs."""

from __future__ import annotations

import asyncio
import statistics
from collections import Counter
from pathlib import Path

from added import WARM_SECONDS, p95_ms
from contestants import ours
from processes import KEY, load, upstreams
from report import Figure, Report

_QUESTIONS = 20
CROWD = 1000


async def cached(report: Report, directory: Path, rate: float, seconds: float, rounds: int) -> None:
    """Ask the same questions over and over, then one a thousand times at once."""
    await _hits(report, directory, rate, seconds, rounds)
    await _crowd(report, directory)


async def _hits(report: Report, directory: Path, rate: float, seconds: float, rounds: int) -> None:
    p95, direct, hits, asked = [], [], 0, 0
    with upstreams(directory, 3) as workers:
        async with ours(directory / "ours-cached", workers, cache=True) as pod:
            for number in range(rounds):
                direct.append(p95_ms(await load(workers[0].port, rate, seconds + WARM_SECONDS, seed=number)))
                port = pod.rig.model.ports.http
                samples = await load(port, rate, seconds + WARM_SECONDS, bodies=_QUESTIONS, seed=number)
                p95.append(p95_ms([found for found in samples if found.cache == "hit"]))
                late = [found for found in samples if found.at >= WARM_SECONDS]
                hits, asked = hits + sum(found.cache == "hit" for found in late), asked + len(late)
    report.add(
        Figure(
            f"cache_hit_p95 at {rate:g} requests/s",
            statistics.median(p95),
            "ms",
            1.5,
            peer="an instant worker, asked directly",
            peer_value=statistics.median(direct),
            ci=(min(p95), max(p95)) if len(p95) >= 3 else None,
            note=f"{hits / asked:.1%} of the requests were hits",
        )
    )


async def _crowd(report: Report, directory: Path) -> None:
    with upstreams(directory, 3, pause=1.0) as workers:
        async with ours(directory / "ours-crowd", workers, cache=True) as pod:
            headers = {"Authorization": f"Bearer {KEY}"}
            answers = await asyncio.gather(*(pod.ask(headers=headers) for _ in range(CROWD)))
            begun = sum([await worker.begun(pod.rig.session) for worker in workers])
    words = Counter(answer.cache for answer in answers)
    whole = sum(answer.status == 200 for answer in answers)
    note = f"{whole} answered: {dict(words)}"
    report.add(Figure(f"upstream_requests_of_{CROWD}_equal_ones", begun, "requests", 1, note=note))
