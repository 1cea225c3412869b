"""How long a request may take: what the gateway says is left of it, within this worker's own bounds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slicewise_worker.http.errors import ApiError, of_request, shown

TIMEOUT_HEADER = "x-slicewise-timeout-ms"
"""Request header with the milliseconds that are left for the worker. The gateway sets it on every request."""

_WHOLE_NUMBER = re.compile(r"0*([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a request may take: `default` without the header, `longest` whatever the header says."""

    default: float
    longest: float


def deadline_of(headers: Mapping[str, str], now: float, patience: Patience) -> float:
    """Return when the time of a request that came at `now` (monotonic, in seconds) is over; raises `ApiError`."""
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return now + min(patience.default, patience.longest)
    found = _WHOLE_NUMBER.fullmatch(value.strip())
    if found is None:
        message = f"Invalid header '{TIMEOUT_HEADER}': write a whole number of milliseconds of 1 or more, got '{shown(value)}'."
        raise ApiError(400, message, code="invalid_value", param=TIMEOUT_HEADER)
    return now + min(int(found[1]) / 1000, patience.longest)


def timed_out(message: str) -> ApiError:
    """Return the error for a request whose time is over."""
    return of_request(504, message, "timeout")
