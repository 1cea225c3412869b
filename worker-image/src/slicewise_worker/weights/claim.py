"""`pvc://`: weights that are on a claim already, mounted read-only.

They are hashed once, here, and used in place. A copy into the cache would double space and start time and make nothing
safer: the worker's mount is read-only, and the hash is of the file that the worker will open.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from slicewise_worker.read_back import read_back
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import Result
from slicewise_worker.weights.source import ClaimSource

_READ_BYTES = 4 * 1024**2


def verify_on_claim(
    source: ClaimSource, mounted: Path, digest: str, progress: Progress, field: str = "spec.model.digest"
) -> Result:
    """Hash the file and compare. Blocking; call it in a thread. `field`: of the pool, that names the digest.

    Raises `FetchError`: SourceNotFound, Unsupported (path leaves the claim, no GGUF), DigestMismatch.
    """
    name = f"pvc://{source.claim}/{source.path}"
    path = _inside(source, mounted, name)
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        progress.at(0, before.st_size)
        progress.say("Verifying", f"{name}: hashing {before.st_size} bytes")
        head = file.read(4)
        if head != b"GGUF":
            raise FetchError(Reason.UNSUPPORTED, f"{name}: not a GGUF file (it begins with {head!r}); check the path")
        file.seek(0)
        found = hash_file(file.fileno(), progress)
    after = path.stat()
    if (before.st_size, before.st_mtime_ns, before.st_ino) != (after.st_size, after.st_mtime_ns, after.st_ino):
        raise FetchError(Reason.DIGEST_MISMATCH, f"{name}: changed while it was read; stop whoever writes it")
    if found != digest:
        raise FetchError(
            Reason.DIGEST_MISMATCH,
            f"{name}: has {found}, {field} says {digest}; correct the file or the digest",
        )
    return Result(str(path), digest, after.st_size, read_back=read_back(before, after))


def _inside(source: ClaimSource, mounted: Path, name: str) -> Path:
    path = (mounted / source.path).resolve()
    if not path.is_relative_to(mounted.resolve()):
        raise FetchError(Reason.UNSUPPORTED, f"{name}: leads out of the claim; write a path inside it")
    if not path.is_file():
        raise FetchError(Reason.SOURCE_NOT_FOUND, f"{name}: no such file on the claim; check the path")
    return path


def hash_file(descriptor: int, progress: Progress) -> str:
    """The hash of an open file from its start, as `sha256:<hex>`, with progress. Blocking."""
    total = os.fstat(descriptor).st_size
    running = hashlib.sha256()
    done = 0
    while piece := os.pread(descriptor, _READ_BYTES, done):
        running.update(piece)
        done += len(piece)
        progress.at(done, total)
    return f"sha256:{running.hexdigest()}"
