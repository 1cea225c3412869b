"""What a process that works on hostile input takes from itself before it begins: memory, files, processes."""

from __future__ import annotations

import resource
from contextlib import suppress
from pathlib import Path


def confine(extra_bytes: int) -> None:
    """Bound this process: memory to `extra_bytes` more than it has, no file that grows, no core, no other process."""
    with suppress(OSError):
        # Before the worker, where memory runs out all the same.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    now = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + extra_bytes, now + extra_bytes))
    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE, resource.RLIMIT_NPROC):
        with suppress(ValueError, OSError):
            resource.setrlimit(limit, (0, 0))
