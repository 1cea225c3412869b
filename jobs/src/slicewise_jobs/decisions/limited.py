"""Tenants whose requests the gateway refuses for now, while it takes those of others."""

from __future__ import annotations

from typing import Final

MOST_TENANTS: Final = 64
"""A claim reads two more rows for each. Beyond that the tenants whose pause ends first are asked for again before it does."""
_MOST_PAUSE: Final = 60.0


class Limited:
    """Tenant → when its jobs may be sent again. Times are a clock's seconds."""

    def __init__(self, most: int = MOST_TENANTS) -> None:
        self._most = most
        self._until: dict[str, float] = {}

    def refused(self, tenant: str, retry_after: float, now: float) -> None:
        """Note that a tenant is over its limit, and for how long it was asked to wait."""
        self._until[tenant] = max(self._until.get(tenant, now), now + min(retry_after, _MOST_PAUSE))
        if len(self._until) > self._most:
            self._drop(now)

    def now(self, now: float) -> dict[str, float]:
        """Return tenant → seconds for which its jobs wait."""
        return {tenant: until - now for tenant, until in self._until.items() if until > now}

    def _drop(self, now: float) -> None:
        self._until = {tenant: until for tenant, until in self._until.items() if until > now}
        while len(self._until) > self._most:
            del self._until[min(self._until, key=lambda tenant: self._until[tenant])]
