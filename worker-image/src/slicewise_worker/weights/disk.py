"""Small file work that has to survive a full disk and a crash. Called in threads; used by everything that writes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from slicewise_worker.weights.errors import FetchError, Reason, size_text


@contextlib.contextmanager
def full_disk(volume: Path, needed: int | None = None, written: int = 0) -> Iterator[None]:
    """Turn "no space left" (the disk's or a quota's) inside the block into `FetchError` (DiskFull) with both numbers.

    `needed`: the whole file in bytes, when known; `written`: what of it is there already.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise disk_full(volume, needed, free_bytes(volume) + written) from error


def disk_full(volume: Path, needed: int | None, room: int, keep_free: int = 0) -> FetchError:
    """The error for a volume that has `room` bytes for a file of `needed` bytes, beside `keep_free` bytes for others."""
    needs = f"the model needs {size_text(needed)} ({needed} bytes)" if needed else "the model's size is not known"
    there = f"there is room for {size_text(room)} ({room} bytes)"
    if keep_free:
        there += (
            f" beside the {size_text(keep_free)} that stay free for the node's other pods; free space on the node, or set "
            "spec.cache.emptyDir.sizeLimit to what the node can spare, or spec.cache.persistentVolumeClaim"
        )
    else:
        there += "; enlarge the cache volume"
    return FetchError(Reason.DISK_FULL, f"{volume}: no space left: {needs}, {there}")


def keep_free_bytes(volume: Path) -> int:
    """What of a disk that belongs to others as well, such as a node's, is left to them: a tenth, 10 GiB at most."""
    found = os.statvfs(volume)
    return min(found.f_blocks * found.f_frsize // 10, 10 << 30)


def free_bytes(volume: Path) -> int:
    """What an ordinary user may still write on the volume, in bytes."""
    while not volume.exists():
        volume = volume.parent
    found = os.statvfs(volume)
    return found.f_bavail * found.f_frsize


def write_atomically(path: Path, text: str) -> None:
    """Write a small file so that a reader sees the old or the new text, also after a crash."""
    draft = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make renames in the folder survive a crash."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
