"""Room for one more model: least recently used entries go, what is live, pinned or held stays. Blocking; call in threads.

One process at a time makes room (a flock on `<cache>/.lock`). An entry is removed only while both its locks are held
exclusively, and by a rename first, so no process ever sees half an entry.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from slicewise_worker.weights.cache import Entry, entries
from slicewise_worker.weights.disk import disk_full, free_bytes
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, size_text
from slicewise_worker.weights.hold import same_file
from slicewise_worker.weights.partial import PARTIAL, reserved_bytes
from slicewise_worker.weights.pins import LiveSet, read_pins

log = structlog.get_logger(__name__)

_GOING = ".evicted-"
_LOCK_SECONDS = 60
_HELD = "held by a running worker or a download"


@dataclass(frozen=True, slots=True)
class Want:
    """The file that needs room: `size` bytes, of which `written` are there already; `keep_free` bytes of the disk are not for it."""

    digest: str
    size: int
    written: int
    keep_free: int = 0


def make_room(cache: Path, limit: int | None, want: Want, live: LiveSet, reserve: Callable[[], None]) -> None:
    """See to it that the wanted file fits the limit (bytes) and the disk, then call `reserve`, which notes its size.

    Raises `FetchError`: CacheFull (names what stays and why), DiskFull (with both numbers).
    """
    size, needed = want.size, want.size - want.written + want.keep_free
    if limit is not None and size > limit:
        raise FetchError(
            Reason.CACHE_FULL,
            f"{cache}: the model needs {size_text(size)} ({size} bytes), the cache may hold {size_text(limit)} ({limit} bytes); "
            "raise spec.cache",
        )
    with _alone(cache):
        _sweep(cache)
        others = [one for one in entries(cache) if one.digest != want.digest]
        used = sum(_size(one) for one in others)
        stays = _what_stays(cache, others, live)
        leaving = sorted((one for one in others if one.digest not in stays), key=Entry.last_use)
        gain, owed = sum(_size(one) for one in leaving), sum(_owed(one) for one in others)
        # Nothing goes unless its going is enough: a source that claims an absurd size must not empty the cache.
        _check(cache, limit, want, used - gain, free_bytes(cache) - owed + gain, stays)
        for one in leaving:
            if (limit is None or used + size <= limit) and free_bytes(cache) - owed >= needed:
                break
            freed = _size(one)
            if _remove(cache, one):
                log.info("model evicted, the least recently used", digest=one.digest, bytes=freed)
                used -= freed
            else:
                stays[one.digest] = _HELD
        _check(cache, limit, want, used, free_bytes(cache) - owed, stays)
        reserve()


def _what_stays(cache: Path, others: list[Entry], live: LiveSet) -> dict[str, str]:
    """The digests that must stay, each with why, in words."""
    pins = read_pins(cache, now=time.time())
    stays = {}
    for one in others:
        if why := _why_live(one, live, pins):
            stays[one.digest] = why
        else:
            with _both_locks(one) as free:
                if not free:
                    stays[one.digest] = _HELD
    return stays


def _check(cache: Path, limit: int | None, want: Want, used: int, free: int, stays: dict[str, str]) -> None:
    """Raise `FetchError` when the wanted file does not fit beside `used` bytes into the limit, or into `free` bytes."""
    if limit is not None and used + want.size > limit:
        names = ", ".join(f"{digest} ({why})" for digest, why in stays.items())
        raise FetchError(
            Reason.CACHE_FULL,
            f"{cache}: the model needs {size_text(want.size)} ({want.size} bytes), the cache may hold {size_text(limit)} "
            f"({limit} bytes) and {size_text(used)} must stay: {names}; raise the cache's size or retire what is live",
        )
    if free < want.size - want.written + want.keep_free:
        raise disk_full(cache, want.size, max(0, free - want.keep_free) + want.written, want.keep_free)


def _size(entry: Entry) -> int:
    """What an entry takes or, while it is downloaded, will take."""
    with contextlib.suppress(FileNotFoundError):
        return entry.model.stat().st_size
    done, total = reserved_bytes(entry.folder)
    return max(done, total or 0) if _is_busy(entry.folder / PARTIAL) else done


def _owed(entry: Entry) -> int:
    """What a download that is under way will still write: the disk has room for it no more."""
    if not _is_busy(entry.folder / PARTIAL):
        return 0
    done, total = reserved_bytes(entry.folder)
    return max(0, (total or 0) - done)


def _is_busy(path: Path) -> bool:
    """Whether a process has the partial file locked; one that no process has was abandoned and will not grow."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _take(descriptor)
    finally:
        os.close(descriptor)


def _why_live(entry: Entry, live: LiveSet, pins: dict[str, LiveSet]) -> str | None:
    """Why the entry must stay, in words; None when nothing names it."""
    if live.unreadable:
        return f"{live.unreadable[0]} cannot be read"
    if live.names(entry):
        return "named by a live revision of this pool"
    for pool, pin in pins.items():
        if pin.unreadable:
            return f"{pin.unreadable[0]} cannot be read"
        if pin.names(entry):
            return f"live in pool {pool}"
    return None


@contextlib.contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Only one process makes room in a cache at a time."""
    cache.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(cache / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
    try:
        give_up = time.monotonic() + _LOCK_SECONDS
        while not _take(descriptor):
            if time.monotonic() >= give_up:
                raise TryAgainError(
                    Reason.CACHE_FULL, f"{cache}: another pod has been making room for {_LOCK_SECONDS} s"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sweep(cache: Path) -> None:
    """Finish removals that a crash interrupted."""
    for left in cache.glob(f"{_GOING}*"):
        shutil.rmtree(left, ignore_errors=True)


def _remove(cache: Path, entry: Entry) -> bool:
    """Remove the entry unless a process holds one of its files."""
    with _both_locks(entry) as free:
        if not free:
            return False
        going = cache / f"{_GOING}{entry.folder.name[:12]}-{secrets.token_hex(4)}"
        entry.folder.rename(going)
        shutil.rmtree(going, ignore_errors=True)
        return True


@contextlib.contextmanager
def _both_locks(entry: Entry) -> Iterator[bool]:
    """Whether both files of the entry could be locked exclusively; they are until the block ends."""
    with contextlib.ExitStack() as locks:
        for path in (entry.model, entry.folder / PARTIAL):
            try:
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            locks.callback(os.close, descriptor)
            if not _take(descriptor) or not same_file(descriptor, path):
                yield False
                return
        yield True
