"""`make bench-gateway`: what the gateway adds and what it spares, as JSON lines and as a table. Exits 0 whether or not goals are met.

Sizes come from the environment: BENCH_RATE (500 requests/s), BENCH_SECONDS (20, a run), BENCH_ROUNDS (5), BENCH_KILLS (6), and
BENCH_DECISIONS (50), BENCH_FLOOD (400 clients) and BENCH_ONLY (parts, by comma: idle, added, killed, cached, decided,
flooded, conversations). BENCH_LITELLM=no leaves LiteLLM's proxy out;
else it is installed the first time.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
import traceback
from collections.abc import Awaitable
from pathlib import Path

from added import added
from cached import cached
from conversations import conversations
from decided import decided
from flooded import flooded
from idle import idle
from killed import killed
from report import Report


async def main() -> None:
    """Run what is asked for."""
    rate, seconds = float(os.environ.get("BENCH_RATE", "500")), float(os.environ.get("BENCH_SECONDS", "20"))
    rounds, kills = int(os.environ.get("BENCH_ROUNDS", "5")), int(os.environ.get("BENCH_KILLS", "6"))
    only = set(os.environ.get("BENCH_ONLY", "idle,added,killed,cached,decided,flooded,conversations").split(","))
    with_litellm = os.environ.get("BENCH_LITELLM", "yes") != "no"
    report, started = Report("gateway"), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        here = Path(folder)
        if "idle" in only:
            await _part(idle(report, here))
        if "added" in only:
            await _part(added(report, here, rate, seconds, rounds, with_litellm=with_litellm))
        if "killed" in only:
            await _part(killed(report, here, rate, kills))
        if "cached" in only:
            await _part(cached(report, here, rate, seconds, rounds))
        if "decided" in only:
            await _part(decided(report, here, int(os.environ.get("BENCH_DECISIONS", "50"))))
        if "flooded" in only:
            await _part(flooded(report, here, int(os.environ.get("BENCH_FLOOD", "400"))))
        if "conversations" in only:
            await _part(conversations(report, here, rounds))
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


async def _part(measure: Awaitable[None]) -> None:
    """Measure. What goes wrong is shown and ends this part; the figures of the others are still wanted."""
    try:
        await measure
    except (RuntimeError, AssertionError, OSError):
        traceback.print_exc()


if __name__ == "__main__":
    asyncio.run(main())
