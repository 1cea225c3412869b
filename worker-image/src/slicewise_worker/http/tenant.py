"""Whose a request is, and what its tenant counts for, as the gateway says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slicewise_worker.engine.tenants import MOST_WEIGHT, Caller, Tenant

TENANT_HEADER: Final = "x-slicewise-tenant"
"""Request header with the tenant's name. The gateway sets it where the pool asks for keys, and removes it from what clients send."""

WEIGHT_HEADER: Final = "x-slicewise-weight"
"""Request header with the tenant's weight, where it has another one than 1. As the one above, from the gateway alone."""

_WEIGHTS: Final = {str(weight): weight for weight in range(1, MOST_WEIGHT + 1)}
_LONGEST: Final = 253
"""Of the name of an entry in a Secret."""


def tenant_of(headers: Mapping[str, str]) -> Tenant:
    """Return the tenant of a request; whoever asks past the gateway with a longer name than there is gets a shorter one."""
    return headers.get(TENANT_HEADER, "")[:_LONGEST] or None


def caller_of(headers: Mapping[str, str]) -> Caller:
    """Return whose a request is; a header that is not a weight counts as 1."""
    return Caller(tenant_of(headers), _WEIGHTS.get(headers.get(WEIGHT_HEADER, ""), 1))
