"""How a running worker keeps its model file from being evicted: a shared lock on the open file.

The evictor asks for the exclusive lock and leaves the file alone when it does not get it. The kernel releases the lock
when the worker dies in any way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

log = structlog.get_logger(__name__)

NO_LOCKS = frozenset({errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS})
"""What flock says on file systems that have no locks."""


@dataclass(slots=True)
class HeldFile:
    """A model file that stays in the cache until `close`. Also a context manager."""

    path: Path
    descriptor: int

    def close(self) -> None:
        """Let go; twice does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def hold(path: Path, *, patience: float = 5.0) -> HeldFile:
    """Open the model file and keep it from eviction while the returned object lives.

    `path` is the `path` of the result file; a read-only mount is enough. Keep the result referenced for the life of the
    process. Raises FileNotFoundError when the file is not there, and TimeoutError when another process holds it
    exclusively for more than `patience` seconds, which only a removal does. On a file system without locks the file is
    opened and a warning logged; the pins of the pools protect it there.
    """
    give_up = time.monotonic() + patience
    while True:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            if time.monotonic() >= give_up:
                raise TimeoutError(f"{path} is being removed from the cache by another process") from None
            time.sleep(0.05)
            continue
        except OSError as error:
            if error.errno not in NO_LOCKS:
                os.close(descriptor)
                raise
            log.warning("file system has no locks: the worker cannot hold the model file", path=str(path))
            return HeldFile(path, descriptor)
        if same_file(descriptor, path):
            return HeldFile(path, descriptor)
        os.close(descriptor)


def same_file(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file: it may have been removed or replaced since."""
    try:
        named = path.stat()
    except FileNotFoundError:
        return False
    opened = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
