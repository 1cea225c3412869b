"""A download on its way: `model.gguf.partial`, its lock, and the checkpoint beside it.

The lock is a flock on the partial file itself, so a dead pod's lock goes with it and a deleted file takes its lock along.
Bytes are hashed as they are written. Every `checkpoint_bytes` the file is synced and the sidecar
`model.gguf.partial.json` records how far it got and the hash of that prefix; a resume re-hashes the prefix and goes on
from there, so a crash costs at most one checkpoint and bits that turned on disk are found at once. Called in threads.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from slicewise_worker.weights.disk import full_disk, sync_folder, write_atomically
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.hold import NO_LOCKS, same_file

MODEL = "model.gguf"
PARTIAL = "model.gguf.partial"
SIDECAR = "model.gguf.partial.json"
_READ_BYTES = 4 * 1024**2
_MAGIC = b"GGUF"


class CorruptError(Exception):
    """The bytes are not the model: fetch them again."""

    def __init__(self, message: str, found: str) -> None:
        super().__init__(message)
        self.message = message
        self.found = found


@dataclass(slots=True)
class Validators:
    """What the server said about the version of the file: a strong ETag or a date, and the whole size in bytes."""

    etag: str | None = None
    modified: str | None = None
    total: int | None = None

    def condition(self) -> str | None:
        """The value for If-Range; a weak ETag may not be used there."""
        if self.etag and not self.etag.startswith("W/"):
            return self.etag
        return self.modified


class Partial:
    """The locked partial file of one digest."""

    def __init__(self, folder: Path, descriptor: int, checkpoint_bytes: int) -> None:
        self.folder = folder
        self.size = 0
        self.validators = Validators()
        self._descriptor = descriptor
        self._checkpoint_bytes = checkpoint_bytes
        self._checkpoint_at = 0
        self._hash = hashlib.sha256()
        self._head = b""
        self._mutex = threading.Lock()

    @classmethod
    def try_lock(cls, folder: Path, checkpoint_bytes: int) -> Self | None:
        """The partial file of `folder`, made when missing; None while another process has it.

        Raises `FetchError` (Unsupported) where the file system has no locks, (DiskFull) where nothing can be made.
        """
        path = folder / PARTIAL
        while True:
            with full_disk(folder.parent):
                folder.mkdir(parents=True, exist_ok=True)
                try:
                    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o664)
                except FileNotFoundError:  # the folder was evicted between the two calls
                    continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return None
            except OSError as error:
                os.close(descriptor)
                if error.errno in NO_LOCKS:
                    raise FetchError(
                        Reason.UNSUPPORTED, f"{folder.parent}: this volume has no file locks; use another storage class"
                    ) from error
                raise
            if same_file(descriptor, path):
                return cls(folder, descriptor, checkpoint_bytes)
            os.close(descriptor)

    def resume(self) -> int:
        """Take up what an earlier try left, as far as its checkpoint proves it. Returns the bytes kept."""
        try:
            noted = json.loads((self.folder / SIDECAR).read_text(encoding="utf-8"))
            offset, expected = int(noted["offset"]), str(noted["sha256"])
            validators = Validators(noted["etag"], noted["modified"], noted["total"])
        except (OSError, ValueError, KeyError, TypeError):
            self.restart()
            return 0
        if offset <= 0 or os.fstat(self._descriptor).st_size < offset or not self._hash_prefix(offset, expected):
            self.restart()
            return 0
        os.ftruncate(self._descriptor, offset)
        self.size = self._checkpoint_at = offset
        self.validators = validators
        self._head = os.pread(self._descriptor, len(_MAGIC), 0)
        return offset

    def _hash_prefix(self, length: int, expected: str) -> bool:
        done = 0
        while done < length:
            piece = os.pread(self._descriptor, min(_READ_BYTES, length - done), done)
            if not piece:
                return False
            self._hash.update(piece)
            done += len(piece)
        return self._hash.hexdigest() == expected

    def append(self, data: bytes) -> None:
        """Write and hash. Raises `FetchError` (DiskFull), `CorruptError` when it is no GGUF file."""
        if len(self._head) < len(_MAGIC):
            self._head += data[: len(_MAGIC) - len(self._head)]
            if len(self._head) == len(_MAGIC) and self._head != _MAGIC:
                raise CorruptError(f"not a GGUF file (it begins with {self._head!r})", self._head.hex())
        view = memoryview(data)
        with self._mutex, full_disk(self.folder.parent, self.validators.total, self.size):
            if self._descriptor < 0:
                return  # stopped while this write was on its way to its thread
            while view:
                room = self._checkpoint_at + self._checkpoint_bytes - self.size
                written = os.pwrite(self._descriptor, view[:room], self.size)
                self._hash.update(view[:written])
                self.size += written
                view = view[written:]
                if self.size - self._checkpoint_at >= self._checkpoint_bytes:
                    self.checkpoint()

    def checkpoint(self) -> None:
        """Make what is written survive a crash, and note it."""
        os.fsync(self._descriptor)
        self._checkpoint_at = self.size
        noted = {
            "offset": self.size,
            "sha256": self._hash.hexdigest(),
            "etag": self.validators.etag,
            "modified": self.validators.modified,
            "total": self.validators.total,
        }
        write_atomically(self.folder / SIDECAR, json.dumps(noted))

    def reserve(self, validators: Validators) -> None:
        """Note what the server said before any byte is written, so that others who make room count this file whole."""
        self.validators = validators
        if not self.size:
            with full_disk(self.folder.parent, validators.total):
                self.checkpoint()

    def digest(self) -> str:
        """The hash of everything written, as `sha256:<hex>`."""
        return f"sha256:{self._hash.hexdigest()}"

    def restart(self) -> None:
        """Forget everything written; the lock stays."""
        with contextlib.suppress(FileNotFoundError):
            (self.folder / SIDECAR).unlink()
        os.ftruncate(self._descriptor, 0)
        self.size = self._checkpoint_at = 0
        self.validators = Validators()
        self._hash = hashlib.sha256()
        self._head = b""

    def publish(self) -> Path:
        """Give the file its final name. The caller has compared `digest`.

        The rename goes through a name of our own: whoever replaced the partial file meanwhile cannot have theirs published
        unverified. Raises `CorruptError` when that happened.
        """
        with full_disk(self.folder.parent, self.validators.total, self.size):
            os.fsync(self._descriptor)
            private = self.folder / f".verified-{secrets.token_hex(8)}"
            try:
                (self.folder / PARTIAL).rename(private)
            except FileNotFoundError as error:
                raise CorruptError("the partial file was removed by another process", "removed") from error
            if not same_file(self._descriptor, private):
                private.unlink()
                raise CorruptError("the partial file was replaced by another process", "replaced")
            private.rename(self.folder / MODEL)
            (self.folder / SIDECAR).unlink(missing_ok=True)
            sync_folder(self.folder)
        self._checkpoint_at = self.size
        return self.folder / MODEL

    def discard(self) -> None:
        """Remove the partial file, so that it neither holds space nor stands in the way."""
        self.restart()
        with contextlib.suppress(OSError):
            if same_file(self._descriptor, self.folder / PARTIAL):
                (self.folder / PARTIAL).unlink()
            self.folder.rmdir()  # stays when there is something else in it

    def close(self) -> None:
        """Note how far it got, for the next try, and release the lock. Waits for a write that is on its way."""
        with self._mutex:
            if self._descriptor < 0:
                return
            if self.size > self._checkpoint_at:
                with contextlib.suppress(OSError):
                    self.checkpoint()
            os.close(self._descriptor)
            self._descriptor = -1


def reserved_bytes(folder: Path) -> tuple[int, int | None]:
    """How far the partial file of another process is, and how large it will be when known, in bytes."""
    done, total = 0, None
    with contextlib.suppress(OSError):
        done = (folder / PARTIAL).stat().st_size
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        total = json.loads((folder / SIDECAR).read_text(encoding="utf-8"))["total"]
    return done, total if isinstance(total, int) else None
