"""Cancelling jobs."""

from __future__ import annotations

from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import OPEN, State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, sql
from slicewise_jobs.store.trouble import OutcomeUnknownError

_LOCK: Final = sql(
    "SELECT seq, state FROM slicewise_jobs WHERE id = :id AND pool = :pool AND tenant = :tenant FOR UPDATE"
)


async def cancel(database: Database, pool: str, tenant: str, job_id: bytes, keep_seconds: float) -> State | None:
    """Return the state that the job was in; None where the tenant has no such job. An open one is cancelled now. Raises StoreError.

    The token moves on, so nothing that still runs for the job is written any more.
    """
    end = sql(
        f"""UPDATE slicewise_jobs SET state = 'cancelled', owner = NULL, token = token + 1, finished_at = {NOW},
 due_at = {after(keep_seconds)} WHERE seq = :seq"""
    )

    async def work(connection: AsyncConnection) -> State | None:
        row = (await connection.execute(_LOCK, {"id": job_id, "pool": pool, "tenant": tenant})).one_or_none()
        if row is None:
            return None
        state = State(row.state)
        if state in OPEN:
            await connection.execute(end, {"seq": row.seq})
        return state

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)
