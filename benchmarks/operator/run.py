"""`make bench-operator`: the figures of the operator, as JSON lines and as a table. Exits 0 whether or not goals are met.

Sizes come from the environment: BENCH_POOLS (1000), BENCH_ROUNDS (3), BENCH_IDLE_SECONDS (600), BENCH_HANDOVERS (50),
BENCH_KILLS (3), and BENCH_ONLY (parts, by comma: converge, steady, handover).
"""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from arena import arena
from converge import converge
from floors import foreign_load, fsync_milliseconds, usage
from handover import handover
from report import Figure, Report
from steady import steady

HANDOVER_POOLS = 60


def main() -> None:
    """Run what is asked for."""
    pools, rounds = int(os.environ.get("BENCH_POOLS", "1000")), int(os.environ.get("BENCH_ROUNDS", "3"))
    only = set(os.environ.get("BENCH_ONLY", "converge,steady,handover").split(","))
    report = Report("operator")
    started = time.monotonic()
    _floors(report, "start")
    if "converge" in only:
        _part(lambda: converge(report, pools, rounds))
    if "steady" in only:
        _part(lambda: _steady(report, pools, only))
    else:
        _handover(report, only)
    _floors(report, "end")
    print(f"\n{report.table()}\n\n{report.path}  ({(time.monotonic() - started) / 60:.1f} min)")


def _part(measure: Callable[[], None]) -> None:
    """Measure. What goes wrong is shown and ends this part; the figures of the others are still wanted."""
    try:
        measure()
    except (RuntimeError, AssertionError, OSError):
        traceback.print_exc()


def _steady(report: Report, pools: int, only: set[str]) -> None:
    with arena(pools) as here:
        idle = float(os.environ.get("BENCH_IDLE_SECONDS", "600"))
        steady(report, here, idle, lambda: _handover(report, only))


def _handover(report: Report, only: set[str]) -> None:
    def measure() -> None:
        with arena(HANDOVER_POOLS) as here:
            graceful, kills = int(os.environ.get("BENCH_HANDOVERS", "50")), int(os.environ.get("BENCH_KILLS", "3"))
            handover(report, here, graceful, kills)

    if "handover" in only:
        _part(measure)


def _floors(report: Report, when: str) -> None:
    """etcd runs on tmpfs here, so that the disk's fsync is no part of the figures; what it would be stands beside them."""
    before = usage()
    disk, memory = fsync_milliseconds(Path(__file__).parent), fsync_milliseconds(Path("/dev/shm"))
    time.sleep(2)
    load = ", ".join(f"{value:.2f}" for value in os.getloadavg())
    report.add(Figure(f"fsync_disk_{when}", disk, "ms", note="not in the figures: etcd is on tmpfs"))
    report.add(Figure(f"fsync_tmpfs_{when}", memory, "ms"))
    others = foreign_load(before, usage())
    report.add(Figure(f"others_{when}", others, "cores", note=f"load average {load}; {os.cpu_count()} cores"))


if __name__ == "__main__":
    main()
