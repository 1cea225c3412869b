"""What the container may use: CPU quota and memory limit, read from its cgroup (v1 and v2).

llama.cpp gets as many threads as the quota allows, not as the machine has cores: its threads spin at each barrier, so
that more of them are throttled and wait for one another.
"""

from __future__ import annotations

import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def cpu_quota(root: Path = CGROUP) -> float | None:
    """Return the quota of the cgroup mounted at `root` in cores (v2, then v1), or None if there is no limit."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((root / "cpu" / "cpu.cfs_quota_us").read_text())
        period_us = int((root / "cpu" / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota_us / period_us if quota_us > 0 and period_us > 0 else None


def memory_limit(root: Path = CGROUP) -> int | None:
    """Return the memory limit of the cgroup mounted at `root` in bytes (v2, then v1), or None if there is no limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((root / name).read_text())
        except (OSError, ValueError):
            continue
        # v1 writes "no limit" as the largest multiple of a page below 2⁶³.
        return None if limit >= 1 << 62 else limit
    return None


def memory_used(root: Path = CGROUP) -> int | None:
    """Return the memory in use by the cgroup mounted at `root` in bytes, page cache included; None where unknown."""
    for name in ("memory.current", "memory/memory.usage_in_bytes"):
        try:
            return int((root / name).read_text())
        except (OSError, ValueError):
            continue
    return None


def memory_held(root: Path = CGROUP, kept_files: int = 0) -> int | None:
    """Return the memory in use by the cgroup mounted at `root` that the kernel cannot take back at no cost, in bytes; None where unknown.

    Pages of files are dropped as soon as anything else needs the room, but for `kept_files` bytes: those of mapped weights, which
    each token reads again.
    """
    used = memory_used(root)
    if used is None:
        return None
    counts = _memory_counts(root)
    files = counts.get("total_active_file", counts.get("active_file", 0))
    files += counts.get("total_inactive_file", counts.get("inactive_file", 0))
    return max(0, used - max(0, files - kept_files) - counts.get("slab_reclaimable", 0))


def _memory_counts(root: Path) -> dict[str, int]:
    for name in ("memory.stat", "memory/memory.stat"):
        try:
            lines = (root / name).read_text().splitlines()
        except OSError:
            continue
        pairs = (line.split() for line in lines)
        return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
    return {}


def resident_bytes() -> int:
    """Return the memory that this process holds and that cannot be dropped, in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def default_threads(root: Path = CGROUP) -> int:
    """Return the number of threads to compute with: the quota rounded down, at most the cores we may run on, ≥ 1."""
    cores = len(os.sched_getaffinity(0))
    quota = cpu_quota(root)
    return max(1, min(cores, int(quota) if quota is not None else cores))
