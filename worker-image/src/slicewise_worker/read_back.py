"""What a fetch notes of a file that it has just read as a whole from where it lies, so that the worker beside it need not read it again.

The note is in the result file: in a volume of the pod, which the fetch alone may write. It holds for the file as it is (its numbers, size
and times, of which no program can set the last), under the same kernel, and for two minutes: later starts of the worker count the digest.
A file that was downloaded has no note. What was written was counted then, and not what the disk made of it.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

HOLDS_SECONDS: Final = 120
_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class ReadBack:
    """The file whose digest was counted, and when: under which boot of the machine, and how many seconds after it."""

    device: int
    inode: int
    bytes: int
    modified_ns: int
    changed_ns: int
    boot: str
    seconds: float


def read_back(before: os.stat_result, after: os.stat_result) -> ReadBack | None:
    """Return the note of a file that had `before` when its reading began and has `after` at its end, None where it has changed."""
    noted = _note(after)
    return noted if noted.boot and _facts(_note(before)) == _facts(noted) else None


def still_holds(noted: ReadBack | None, path: Path) -> bool:
    """Whether the file at `path` is the one in the note, which is young; raises OSError where the file does not exist."""
    now = _note(path.stat())
    return noted is not None and _facts(noted) == _facts(now) and now.seconds - noted.seconds <= HOLDS_SECONDS


def _note(found: os.stat_result) -> ReadBack:
    try:
        boot = _BOOT.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        boot = ""
    seconds = time.clock_gettime(time.CLOCK_BOOTTIME)
    return ReadBack(
        found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, boot=boot, seconds=seconds
    )


def _facts(noted: ReadBack) -> tuple[int | str, ...]:
    return noted.device, noted.inode, noted.bytes, noted.modified_ns, noted.changed_ns, noted.boot
