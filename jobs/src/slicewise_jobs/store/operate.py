"""What people who operate a pool see and do, across its tenants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.rank import ranks
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, sql
from slicewise_jobs.store.submit import last_ranks

RETRIED: Final = frozenset({State.ERROR, State.EXPIRED, State.CANCELLED})
"""What may be queued again by hand. What is done never is."""
_MOST_ROWS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Group:
    """The jobs of one tenant in one state."""

    tenant: str
    state: State
    jobs: int
    bytes: int
    """Of their bodies."""
    oldest_seconds: float
    """Since the oldest of them was accepted."""
    ended_last_minute: int
    """How many of them came to this state by ending within the last minute."""


_GROUPS: Final = sql(
    f"""SELECT tenant, state, COUNT(*) AS jobs, SUM(body_bytes) AS bytes,
 TIMESTAMPDIFF(MICROSECOND, MIN(created_at), {NOW}) / 1e6 AS oldest,
 COALESCE(SUM(finished_at > {NOW} - INTERVAL 1 MINUTE), 0) AS ended FROM slicewise_jobs
 WHERE pool = :pool GROUP BY tenant, state ORDER BY tenant, state LIMIT {_MOST_ROWS}"""
)
_LOCK: Final = sql("SELECT seq, tenant, state FROM slicewise_jobs WHERE id = :id AND pool = :pool FOR UPDATE")
_TENANT: Final = sql("SELECT tenant FROM slicewise_jobs WHERE id = :id AND pool = :pool")
_AGAIN: Final = sql(
    """UPDATE slicewise_jobs SET state = 'queued', rank_ = :rank, attempts = 0, token = token + 1, expires_at = NULL, due_at = NULL,
 finished_at = NULL WHERE seq = :seq"""
)


async def groups(database: Database, pool: str) -> list[Group]:
    """Return how many jobs of whom are in which state: it reads all jobs of the pool. Raises StoreError."""

    async def work(connection: AsyncConnection) -> list[Group]:
        return [
            Group(row.tenant, State(row.state), row.jobs, int(row.bytes), float(row.oldest), int(row.ended))
            for row in await connection.execute(_GROUPS, {"pool": pool})
        ]

    return await database.run(work)


async def retry(database: Database, pool: str, job_id: bytes) -> State | None:
    """Return the state that a job was in; None where the pool has no such job. Raises StoreError.

    One that failed, expired or was cancelled is queued as if it had just come.
    """

    async def work(connection: AsyncConnection) -> State | None:
        row = (await connection.execute(_LOCK, {"id": job_id, "pool": pool})).one_or_none()
        if row is None:
            return None
        state = State(row.state)
        if state in RETRIED:
            last, lowest = await last_ranks(connection, pool, {row.tenant})
            (rank,) = ranks([row.tenant], last, lowest)
            await connection.execute(_AGAIN, {"seq": row.seq, "rank": rank})
        return state

    return await database.run(work)


async def tenant_of(database: Database, pool: str, job_id: bytes) -> str | None:
    """Return whose a job is; None where the pool has no such job. Raises StoreError."""

    async def work(connection: AsyncConnection) -> str | None:
        found: str | None = await connection.scalar(_TENANT, {"id": job_id, "pool": pool})
        return found

    return await database.run(work)
