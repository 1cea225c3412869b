"""Numbers and times as text. Pure: the current time is an argument, in seconds since the epoch."""

from __future__ import annotations

from slicewise.pool.rollout.times import read_time


def duration(seconds: float) -> str:
    """Return a duration in at most two units: `45 s`, `9 min 20 s`, `3 h 5 min`, `4 d 2 h`."""
    whole = max(0, round(seconds))
    for size, unit, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {small}" if rest else "")
    return f"{whole} s"


def since(text: str, now: float) -> str:
    """Return the time since an RFC 3339 timestamp; empty for an empty one."""
    then = read_time(text)
    return "" if then is None else duration(now - then)


def percent(part: int, whole: int) -> str:
    """Return a percentage with two significant digits: `0 %`, `3.2 %`, `12 %`; `none` if `whole` is 0."""
    if not whole:
        return "none"
    percent = 100 * part / whole
    return f"{percent:.0f} %" if percent >= 10 or part == 0 else f"{percent:.2g} %"


def number(value: float) -> str:
    """Return a number with three significant digits, without an exponent: `0.42`, `3.1`, `120`, `12,000`."""
    if value >= 1e9:
        return "over a billion"
    if value >= 100:
        return f"{round(value):,}"
    return f"{value:.3g}"
