"""How a request counts beside others, as the gateway and its client say it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slicewise_worker.engine.callers import MOST_WEIGHT, Caller
from slicewise_worker.http.errors import ApiError, shown
from slicewise_worker.http.tenant import tenant_of

WEIGHT_HEADER: Final = "x-slicewise-weight"
"""Request header with the tenant's weight, where it has another one than 1. As the tenant's name, from the gateway alone."""
PRIORITY_HEADER: Final = "x-slicewise-priority"
"""Request header by which a client puts its request behind others, or the gateway those of a tenant. No value puts one before others."""

_PRIORITIES: Final = {"": False, "interactive": False, "batch": True}
_WEIGHTS: Final = {str(weight): weight for weight in range(1, MOST_WEIGHT + 1)}


def is_batch(headers: Mapping[str, str]) -> bool:
    """Return whether a request is to be behind others; raises `ApiError` for a priority that does not exist."""
    said = headers.get(PRIORITY_HEADER, "")
    batch = _PRIORITIES.get(said)
    if batch is None:
        message = f"Invalid header '{PRIORITY_HEADER}': write interactive or batch, got '{shown(said)}'."
        raise ApiError(400, message, code="invalid_value", param=PRIORITY_HEADER)
    return batch


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Return whose a request is; a header that is not a weight counts as 1. Raises `ApiError`."""
    return Caller(tenant_of(headers), _WEIGHTS.get(headers.get(WEIGHT_HEADER, ""), 1), is_batch(headers))
