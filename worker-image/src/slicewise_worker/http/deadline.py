"""How long a request may take: what the gateway says is left of it, within this worker's own bounds. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from slicewise_worker.http.errors import ApiError, of_request, shown

TIMEOUT_HEADER = "x-slicewise-timeout-ms"
"""Request header with the milliseconds that are left for the worker. The gateway sets it on every request."""

_MARGIN, _LEAST_MARGIN_SECONDS = 1 / 19, 0.5
"""What the gateway has more than a worker: 5 % of its own time, at least half a second; of the shortest times, half."""
_BEHIND_THE_GATEWAY_SECONDS = 5.0

_WHOLE_NUMBER = re.compile(r"0*([1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds that a request may take: `default` without the header, `longest` whatever the header says."""

    default: float
    longest: float


@dataclass(frozen=True, slots=True)
class Deadline:
    """When the time of a request is over, monotonic, in seconds."""

    answer: float
    """For the engine: what has not ended then is an error."""
    read: float
    """For a client that has yet to read what was written, the error too. It is after the gateway gives up: a stream that a worker breaks
    off is a worker that is gone to it, so clients that read slowly could take all workers away."""


def _last_bytes_seconds(share: float) -> float:
    """Return how long a client may go on reading after the `share` of a request is over, where no gateway ends that before."""
    return max(_LEAST_MARGIN_SECONDS, share * _MARGIN) + _BEHIND_THE_GATEWAY_SECONDS


def deadline_of(headers: Mapping[str, str], now: float, patience: Patience) -> Deadline:
    """Return when the time of a request that came at `now` is over; raises `ApiError`."""
    share = _share(headers, patience)
    return Deadline(now + share, now + share + _last_bytes_seconds(share))


def _share(headers: Mapping[str, str], patience: Patience) -> float:
    value = headers.get(TIMEOUT_HEADER)
    if value is None:
        return min(patience.default, patience.longest)
    found = _WHOLE_NUMBER.fullmatch(value.strip())
    if found is None:
        message = f"Invalid header '{TIMEOUT_HEADER}': write a whole number of milliseconds of 1 or more, got '{shown(value)}'."
        raise ApiError(400, message, code="invalid_value", param=TIMEOUT_HEADER)
    return min(int(found[1]) / 1000, patience.longest)


def timed_out(message: str) -> ApiError:
    """Return the error for a request whose time is over."""
    return of_request(504, message, "timeout")
