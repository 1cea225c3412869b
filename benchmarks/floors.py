"""What the machine itself costs, measured in the same run: the disk's fsync, and what others do on it meanwhile."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


def fsync_milliseconds(folder: Path, times: int = 200) -> float:
    """Return the median time of write + fdatasync of 2 KiB in `folder`."""
    return statistics.median(fsync_times(folder, times))


def fsync_times(folder: Path, times: int, size: int = 2048, pause: float = 0.0) -> list[float]:
    """Return the time of each write + fdatasync of `size` bytes in `folder`, in ms; `pause`: seconds between two."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".fsync-") as file:
        for _ in range(times):
            start = time.perf_counter()
            file.write(b"x" * size)
            file.flush()
            os.fdatasync(file.fileno())
            took.append((time.perf_counter() - start) * 1000)
            if pause:
                time.sleep(pause)
    return took


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has used; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def own_processes() -> list[int]:
    """Return this process and all below it."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(") ")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time at one moment."""

    at: float
    busy: float
    """Seconds of all processes of the machine together."""
    own: dict[int, float]


def usage(pids: Iterable[int] | None = None) -> Usage:
    """Return the CPU time used until now."""
    ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    busy = (sum(ticks) - ticks[3] - ticks[4]) / _TICKS
    return Usage(time.monotonic(), busy, {pid: cpu_seconds(pid) for pid in pids or own_processes()})


def foreign_load(before: Usage, after: Usage) -> float:
    """Return how many cores others kept busy between two moments."""
    own = sum(max(0.0, seconds - before.own.get(pid, 0.0)) for pid, seconds in after.own.items())
    return max(0.0, (after.busy - before.busy - own) / (after.at - before.at))
