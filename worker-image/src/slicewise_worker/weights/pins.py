"""What must not be evicted: the digests and sources of live revisions, of this pool and of others that share the cache."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import structlog

from slicewise_worker.weights.cache import Entry
from slicewise_worker.weights.disk import full_disk, write_atomically
from slicewise_worker.weights.source import label

log = structlog.get_logger(__name__)

PINS = "pins"
PIN_SECONDS = 30 * 24 * 3600
"""A pool that has fetched nothing for so long does not hold its files any more (a running worker still does)."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class LiveSet:
    """What live revisions name. `unreadable`: files that could not be read, so that nothing may be called dead."""

    digests: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    unreadable: tuple[str, ...] = ()

    def names(self, entry: Entry) -> bool:
        """Whether the entry is in the set."""
        return entry.digest in self.digests or not self.sources.isdisjoint(entry.sources)


def read_live(path: Path | None) -> LiveSet:
    """The live set that the operator keeps in a ConfigMap: any JSON whose strings are digests and sources.

    Without a path there are no other revisions to spare. A file that should be there and is not counts as unreadable.
    """
    return LiveSet() if path is None else _read(path)


def record_pin(cache: Path, pool: str | None, live: LiveSet) -> None:
    """Record this pool's live set in the cache, for the fetches of other pools. Without a pool's name nothing is written.

    Where the live set could not be read, what the pool recorded before stays recorded.
    """
    if not pool:
        return
    folder = cache / PINS
    path = folder / f"{pool.replace('/', '_')}.json"
    if live.unreadable and path.exists():
        before = _read(path)
        live = LiveSet(live.digests | before.digests, live.sources | before.sources)
    with full_disk(cache):
        folder.mkdir(parents=True, exist_ok=True)
        content = {"pool": pool, "digests": sorted(live.digests), "sources": sorted(live.sources)}
        write_atomically(path, json.dumps(content))


def read_pins(cache: Path, *, now: float) -> dict[str, LiveSet]:
    """The live set of every pool that fetched within `PIN_SECONDS`, by the pool's name. `now` in seconds of the epoch."""
    pins = {}
    for path in sorted((cache / PINS).glob("*.json")):
        try:
            young = now - path.stat().st_mtime < PIN_SECONDS
        except FileNotFoundError:
            continue
        if young:
            pins[path.stem.replace("_", "/")] = _read(path)
    return pins


def _read(path: Path) -> LiveSet:
    try:
        texts = _strings(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        log.warning("live set not readable: nothing is evicted", path=str(path), error=str(error))
        return LiveSet(unreadable=(str(path),))
    return LiveSet(
        frozenset(text for text in texts if _DIGEST.fullmatch(text)),
        frozenset(label(text) for text in texts if "://" in text),
    )


def _strings(value: object) -> list[str]:
    """Every string in a JSON value, at any depth."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for item in value.values() for text in _strings(item)]
    if isinstance(value, list):
        return [text for item in value for text in _strings(item)]
    return []
