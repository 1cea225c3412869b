"""Times as Kubernetes writes them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, overload

_LAST: Final = 32_503_680_000
"""The year 3000: a stored time that waits are added to must stay one that can be written."""


def read_time(text: object) -> float | None:
    """Return an RFC 3339 time as seconds since the epoch; None if it is absent or cannot be read."""
    if not isinstance(text, str):
        return None
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return seconds if 0 <= seconds <= _LAST else None


@overload
def format_time(seconds: float) -> str: ...
@overload
def format_time(seconds: float | None) -> str | None: ...
def format_time(seconds: float | None) -> str | None:
    """Return seconds since the epoch as RFC 3339 in UTC, whole seconds, as Kubernetes writes times."""
    return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
