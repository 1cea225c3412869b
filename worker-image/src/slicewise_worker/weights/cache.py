"""The content-addressed cache: `<cache>/<sha256>/model.gguf` and what is known about each entry. Blocking; call in threads."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from slicewise_worker.read_back import ReadBack, read_back
from slicewise_worker.weights.claim import hash_file
from slicewise_worker.weights.disk import write_atomically
from slicewise_worker.weights.hold import same_file
from slicewise_worker.weights.partial import MODEL
from slicewise_worker.weights.progress import Progress

META = "meta.json"
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One digest's folder. `sources`: the source texts that were verified to be this digest."""

    folder: Path
    sources: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """The digest as `sha256:<hex>`."""
        return f"sha256:{self.folder.name}"

    @property
    def model(self) -> Path:
        """Where the finished file is, or would be."""
        return self.folder / MODEL

    def last_use(self) -> float:
        """Seconds of the epoch at which a fetch last gave this entry out."""
        for name in (META, MODEL, "."):
            with contextlib.suppress(FileNotFoundError):
                return (self.folder / name).stat().st_mtime
        return 0.0


def entry_of(cache: Path, digest: str) -> Entry:
    """The entry of a digest, whether or not its folder exists."""
    folder = cache / digest.removeprefix("sha256:")
    try:
        noted = json.loads((folder / META).read_text(encoding="utf-8"))
        sources = tuple(str(source) for source in noted["sources"])
    except (OSError, ValueError, KeyError, TypeError):
        sources = ()
    return Entry(folder, sources)


def entries(cache: Path) -> list[Entry]:
    """Every entry of the cache, finished or not."""
    if not cache.is_dir():
        return []
    return [entry_of(cache, path.name) for path in cache.iterdir() if _HEX.fullmatch(path.name) and path.is_dir()]


def digest_of(cache: Path, source: str) -> str | None:
    """The digest that a pinned source was verified to have, when its file is still here."""
    for entry in entries(cache):
        if source in entry.sources and entry.model.is_file():
            return entry.digest
    return None


def note_use(cache: Path, digest: str, source: str) -> None:
    """Record that `source` is this digest and that it was used now."""
    entry = entry_of(cache, digest)
    if source in entry.sources:
        os.utime(entry.folder / META)
        return
    write_atomically(entry.folder / META, json.dumps({"sources": [*entry.sources, source]}))


class State(Enum):
    """What a look at a finished file found."""

    MISSING = "missing"
    VERIFIED = "verified"
    CORRUPT = "corrupt"
    BUSY = "busy"


@dataclass(slots=True)
class Look:
    """What was found, with the file held (shared lock) until `close`, so that it is not evicted meanwhile."""

    state: State
    size: int = 0
    read_back: ReadBack | None = None
    descriptor: int = field(default=-1, repr=False)

    def close(self) -> None:
        """Let the file go."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def look(entry: Entry, progress: Progress) -> Look:
    """Hash the finished file of the entry again: a bit may have turned since it was written."""
    try:
        descriptor = os.open(entry.model, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Look(State.MISSING)
    before = os.fstat(descriptor)
    found = Look(State.BUSY, before.st_size, descriptor=descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        found.close()
        return found
    if not same_file(descriptor, entry.model):
        found.close()
        return found
    progress.say("Verifying", f"{entry.digest}: in the cache, checking it")
    found.state = State.VERIFIED if hash_file(descriptor, progress) == entry.digest else State.CORRUPT
    found.read_back = read_back(before, os.fstat(descriptor))
    return found
