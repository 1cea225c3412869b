"""`make bench-jobs`: how fast jobs are accepted, begun and ended, as JSON lines and as a table. Exits 0 whether or not goals are met.

Sizes come from the environment: BENCH_SECONDS (10, a measurement of POSTs), BENCH_JOBS (20000, to be drained), BENCH_QUEUED (1000000, the
long queue), BENCH_STARTS (100), and BENCH_ONLY (parts, by comma: post, drain, start, claim).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import traceback
from collections.abc import Awaitable
from pathlib import Path

from claiming import claiming
from draining import draining
from posting import posting
from report import Report
from rig import running
from starting import starting


async def main() -> None:
    """Run what is asked for, each part on a database of its own."""
    only = set(os.environ.get("BENCH_ONLY", "post,drain,start,claim").split(","))
    seconds, jobs = float(os.environ.get("BENCH_SECONDS", "10")), int(os.environ.get("BENCH_JOBS", "20000"))
    queued, starts = int(os.environ.get("BENCH_QUEUED", "1000000")), int(os.environ.get("BENCH_STARTS", "100"))
    report, begun = Report("jobs"), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-jobs-") as folder, running(Path(folder)) as rig:
        if "post" in only:
            await _part(posting(report, rig, seconds))
        if "drain" in only:
            await _part(draining(report, rig, jobs))
        if "start" in only:
            await _part(starting(report, rig, starts))
        if "claim" in only:
            await _part(claiming(report, rig, queued))
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - begun) / 60:.1f} min)")


async def _part(measure: Awaitable[None]) -> None:
    """Measure. What goes wrong is shown and ends this part; the figures of the others are still wanted."""
    try:
        await measure
    except (RuntimeError, AssertionError, OSError):
        traceback.print_exc()


if __name__ == "__main__":
    asyncio.run(main())
