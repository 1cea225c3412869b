"""The API server's audit log, read from a moment on."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from servers.processes import wait_until


@dataclass(frozen=True)
class AuditMark:
    """A moment in the audit log."""

    offset: int
    at: str
    """RFC 3339, UTC, microseconds, as the log writes times."""


def mark_of(log: Path) -> AuditMark:
    """Return the present moment."""
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}Z"
    return AuditMark(log.stat().st_size if log.exists() else 0, now)


def events_since(log: Path, since: AuditMark | None, ask: Callable[[str], object]) -> list[dict[str, Any]]:
    """Return the requests made since a mark. `ask` makes a request to the server's path.

    A request stands in the log only after its answer has gone out. So what began before the mark is left out by its time, and
    a request of our own is waited for, behind which all have been written that were answered by now.
    """
    mark = since or AuditMark(0, "")
    last = secrets.token_hex(8)
    with contextlib.suppress(OSError):  # the server may be stopped
        ask(f"/api/v1/namespaces/default?last={last}")
        wait_until(lambda: last.encode() in _read(log, mark), 60, lambda: "the audit log does not grow")
    events = [json.loads(line) for line in _read(log, mark).splitlines(keepends=True) if line.endswith(b"\n")]
    return [
        event for event in events if event["requestReceivedTimestamp"] >= mark.at and last not in event["requestURI"]
    ]


def _read(log: Path, mark: AuditMark) -> bytes:
    with log.open("rb") as file:
        file.seek(mark.offset)
        return file.read()
