"""How many jobs a tenant may have that have not ended.

Counted in the database at most once a second for a tenant, and by what this API has accepted since. So with several APIs a tenant can go
beyond its limit by what the others accept within a second.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from slicewise_jobs.store.database import Database
from slicewise_jobs.store.read import backlog

_FRESH_SECONDS = 1.0
_MOST_TENANTS = 10_000


@dataclass(slots=True)
class _Count:
    jobs: int = 0
    bytes: int = 0
    at: float = float("-inf")
    counting: asyncio.Task[None] | None = None


class Backlog:
    """The limits of all tenants of a pool."""

    def __init__(self, database: Database, pool: str, most_jobs: int, most_bytes: int) -> None:
        self._database = database
        self._pool = pool
        self._most_jobs = most_jobs
        self._most_bytes = most_bytes
        self._counts: dict[str, _Count] = {}

    async def admit(self, tenant: str, size: int) -> str | None:
        """Return why a job of `size` bytes cannot be taken, None where it can; then it counts at once. Raises StoreError."""
        count = self._counts.setdefault(tenant, _Count())
        if len(self._counts) > _MOST_TENANTS:
            self._counts = {tenant: count}
        if time.monotonic() - count.at > _FRESH_SECONDS:
            # All who come meanwhile wait for the same answer.
            count.counting = count.counting or asyncio.create_task(self._count(tenant, count))
            await asyncio.shield(count.counting)
        if count.jobs >= self._most_jobs:
            return f"This tenant has {count.jobs} jobs that have not ended; {self._most_jobs} are allowed."
        if count.bytes + size > self._most_bytes:
            return (
                f"The jobs of this tenant that have not ended hold {count.bytes} bytes; {self._most_bytes} are allowed."
            )
        count.jobs += 1
        count.bytes += size
        return None

    async def _count(self, tenant: str, count: _Count) -> None:
        try:
            before = time.monotonic()
            count.jobs, count.bytes = await backlog(self._database, self._pool, tenant)
            count.at = before
        finally:
            count.counting = None
