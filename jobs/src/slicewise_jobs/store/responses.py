"""Background responses: jobs that were sent as such. What another tenant has is not there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, sql
from slicewise_jobs.store.trouble import OutcomeUnknownError

_WHERE: Final = """j.id = :id AND j.pool = :pool AND j.tenant = :tenant AND j.path = '/v1/responses'
 AND NOT EXISTS (SELECT 1 FROM slicewise_batch_lines l WHERE l.job = j.id)"""
_ONE: Final = sql(
    f"""SELECT j.id, j.state, j.last_error, j.created_at, i.body AS asked, r.body AS answer,
 TIMESTAMPDIFF(MICROSECOND, j.created_at, {NOW}) / 1e6 AS age FROM slicewise_jobs j
 JOIN slicewise_job_inputs i ON i.id = j.id LEFT JOIN slicewise_job_results r ON r.id = j.id WHERE {_WHERE}"""
)
_LOCK: Final = sql(f"SELECT j.seq, j.state FROM slicewise_jobs j WHERE {_WHERE} FOR UPDATE")
_TABLES: Final = ("slicewise_job_results", "slicewise_job_inputs", "slicewise_jobs")


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A background response."""

    id: bytes
    state: State
    last_error: str | None
    created_at: datetime
    asked: bytes
    answer: bytes | None
    age_seconds: float


async def find_response(database: Database, whose: tuple[str, str], job_id: bytes) -> StoredResponse | None:
    """Return a response; None where the tenant has no such response. Raises StoreError."""

    async def work(connection: AsyncConnection) -> StoredResponse | None:
        values = {"id": job_id, "pool": whose[0], "tenant": whose[1]}
        row = (await connection.execute(_ONE, values)).one_or_none()
        if row is None:
            return None
        state = State(row.state)
        return StoredResponse(row.id, state, row.last_error, row.created_at, row.asked, row.answer, float(row.age))

    return await database.run(work)


async def delete_response(database: Database, whose: tuple[str, str], job_id: bytes) -> State | None:
    """Delete a response, also one that runs. Returns the state that it was in, None where it does not exist. Raises StoreError."""
    seen: list[State] = []

    async def work(connection: AsyncConnection) -> State | None:
        row = (await connection.execute(_LOCK, {"id": job_id, "pool": whose[0], "tenant": whose[1]})).one_or_none()
        if row is None:
            return None
        seen.append(State(row.state))
        for table in _TABLES:
            await connection.execute(sql(f"DELETE FROM {table} WHERE id = :id"), {"id": job_id})
        return seen[-1]

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        # It may be gone already, and then it was there.
        return await database.run(work) or seen[-1]
