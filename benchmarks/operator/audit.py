"""Requests counted where they arrive: in the API server's audit log, by who sent them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
APART = frozenset({"watch", "lease", "event"})
"""Sorts of requests that are listed beside the count, not in it."""


class AuditTail:
    """Reads what was added to an audit log since the last look."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = path.stat().st_size

    def read(self) -> list[dict[str, Any]]:
        """Return the requests that have ended (watches: begun or ended) since the last look, oldest first."""
        with self._path.open("rb") as log:
            log.seek(self._offset)
            data = log.read()
        whole = data.rpartition(b"\n")[0]
        if not whole:
            return []
        self._offset += len(whole) + 1
        return [json.loads(line) for line in whole.split(b"\n")]


def user(event: dict[str, Any]) -> str:
    """Return the short name of who sent it: the last part of a service account's name."""
    return str(event["user"].get("username", "")).rpartition(":")[2]


def sort(event: dict[str, Any]) -> str:
    """Return `watch`, `lease`, `event`, `write` or `read`."""
    resource = (event.get("objectRef") or {}).get("resource")
    if event["verb"] == "watch":
        return "watch"
    if resource == "leases":
        return "lease"
    if event["verb"] in WRITES:
        return "event" if resource == "events" else "write"
    return "read"


def target(event: dict[str, Any]) -> tuple[str, str, str, str]:
    """Return (resource, namespace, name, subresource)."""
    ref = event.get("objectRef") or {}
    return ref.get("resource", ""), ref.get("namespace", ""), ref.get("name", ""), ref.get("subresource", "")


def accepted(event: dict[str, Any]) -> bool:
    """Whether the API server did as it was told."""
    return int((event.get("responseStatus") or {}).get("code", 0)) in range(200, 300)


def received(event: dict[str, Any]) -> float:
    """Return when the request came in, seconds since the epoch."""
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def ended(event: dict[str, Any]) -> float:
    """Return when the answer was complete (or an error sent), seconds since the epoch."""
    return datetime.fromisoformat(event["stageTimestamp"]).timestamp()


def count(events: Iterable[dict[str, Any]]) -> Counter[str]:
    """Return sort → requests. A watch counts once, when it begins."""
    return Counter(sort(e) for e in events if not (sort(e) == "watch" and e["stage"] == "ResponseComplete"))
