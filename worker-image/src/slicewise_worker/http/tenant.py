"""Whose a request is, as the gateway says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from slicewise_worker.engine.callers import Owner

TENANT_HEADER: Final = "x-slicewise-tenant"
"""Request header with the tenant's name. The gateway sets it where the pool asks for keys, and removes it from what clients send."""

_LONGEST: Final = 253
"""Of the name of an entry in a Secret."""


def tenant_of(headers: Mapping[str, str]) -> Owner:
    """Return the tenant of a request; whoever asks past the gateway with a longer name than there is gets a shorter one."""
    return headers.get(TENANT_HEADER, "")[:_LONGEST] or None
