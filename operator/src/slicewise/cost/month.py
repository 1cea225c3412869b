"""Calendar months in UTC, in seconds since the epoch. Pure."""

from __future__ import annotations

from datetime import UTC, datetime


def month_start(now: float) -> float:
    """Return when the month of `now` began."""
    return datetime.fromtimestamp(now, UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0).timestamp()


def month_end(now: float) -> float:
    """Return when the month after that of `now` begins."""
    first = datetime.fromtimestamp(month_start(now), UTC)
    year, month = (first.year + 1, 1) if first.month == 12 else (first.year, first.month + 1)
    return first.replace(year=year, month=month).timestamp()
