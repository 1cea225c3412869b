"""Reading jobs, for clients. What another tenant has is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.settle import Result
from slicewise_jobs.store.sql import NOW, sql


@dataclass(frozen=True, slots=True)
class Job:
    """A job as clients see it. Times are UTC, by the database's clock."""

    id: bytes
    state: State
    attempts: int
    last_error: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None
    age_seconds: float
    """Since it was accepted."""
    event: str
    """What a change changes: the number of claims and cancellations, and the state as clients see it."""


_COLUMNS: Final = f"""id, state, token, attempts, last_error, created_at, started_at, finished_at, expires_at,
 TIMESTAMPDIFF(MICROSECOND, created_at, {NOW}) / 1e6 AS age"""
_ONE: Final = sql(f"SELECT {_COLUMNS} FROM slicewise_jobs WHERE id = :id AND pool = :pool AND tenant = :tenant")
_RESULT: Final = sql("SELECT status, content_type, served_by, body FROM slicewise_job_results WHERE id = :id")
_PLACE: Final = sql("SELECT seq FROM slicewise_jobs WHERE id = :id AND pool = :pool AND tenant = :tenant")


def event_of(row: Any) -> str:
    """Return what tells the standing of a job from its next one."""
    return f"{row.token}-{State(row.state).shown}"


def job_of(row: Any) -> Job:
    """Return the job in a row of these columns."""
    return Job(
        row.id,
        State(row.state),
        row.attempts,
        row.last_error,
        row.created_at,
        row.started_at,
        row.finished_at,
        row.expires_at,
        float(row.age),
        event_of(row),
    )


async def find(
    database: Database, pool: str, tenant: str, job_id: bytes, *, result: bool = True
) -> tuple[Job, Result | None] | None:
    """Return a job, with its result where it is done and asked for; None where the tenant has no such job. Raises StoreError."""

    async def work(connection: AsyncConnection) -> tuple[Job, Result | None] | None:
        row = (await connection.execute(_ONE, {"id": job_id, "pool": pool, "tenant": tenant})).one_or_none()
        if row is None:
            return None
        job = job_of(row)
        if job.state is not State.DONE or not result:
            return job, None
        found = (await connection.execute(_RESULT, {"id": job_id})).one()
        return job, Result(found.status, found.content_type, found.served_by, found.body)

    return await database.run(work)


_STANDINGS: Final = sql("SELECT id, token, state FROM slicewise_jobs WHERE id IN :ids", "ids")


async def standings(database: Database, job_ids: Sequence[bytes]) -> dict[bytes, str]:
    """Return the standing of each of these jobs that is there. Raises StoreError."""

    async def work(connection: AsyncConnection) -> dict[bytes, str]:
        rows = await connection.execute(_STANDINGS, {"ids": list(job_ids)})
        return {row.id: event_of(row) for row in rows}

    return await database.run(work)


async def page(
    database: Database, pool: str, tenant: str, states: Sequence[State] | None, after: bytes | None, most: int
) -> list[Job] | None:
    """Return at most `most` jobs, newest first, from behind the job `after` on; None where there is no such job. Raises StoreError."""

    async def work(connection: AsyncConnection) -> list[Job] | None:
        values: dict[str, Any] = {"pool": pool, "tenant": tenant, "most": most}
        if after is not None:
            values["before"] = await connection.scalar(_PLACE, {"id": after, "pool": pool, "tenant": tenant})
            if values["before"] is None:
                return None
        # Lines of a batch are seen in its counts.
        where = (
            "pool = :pool AND tenant = :tenant AND NOT EXISTS (SELECT 1 FROM slicewise_batch_lines l WHERE l.job = slicewise_jobs.id)"
            + (" AND seq < :before" if after is not None else "")
        )
        if states is not None:
            where += " AND state IN :states"
            values["states"] = [state.value for state in states]
        lists = ("states",) if states is not None else ()
        statement = f"""SELECT {_COLUMNS} FROM slicewise_jobs FORCE INDEX (slicewise_jobs_list) WHERE {where}
 ORDER BY seq DESC LIMIT :most"""
        return [job_of(row) for row in await connection.execute(sql(statement, *lists), values)]

    return await database.run(work)


_BACKLOG: Final = sql(
    """SELECT COUNT(*) AS jobs, COALESCE(SUM(body_bytes), 0) AS bytes FROM slicewise_jobs FORCE INDEX (slicewise_jobs_tenant)
 WHERE pool = :pool AND tenant = :tenant AND state IN ('queued', 'waiting', 'running')"""
)


async def backlog(database: Database, pool: str, tenant: str) -> tuple[int, int]:
    """Return how many jobs of a tenant have not ended, and the bytes of their bodies. Raises StoreError."""

    async def work(connection: AsyncConnection) -> tuple[int, int]:
        row = (await connection.execute(_BACKLOG, {"pool": pool, "tenant": tenant})).one()
        return int(row.jobs), int(row.bytes)

    return await database.run(work)
