"""Batches as clients make, see and cancel them. What another tenant has is not there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.batch import OPEN_BATCH, BatchState, WantedBatch
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, sql
from slicewise_jobs.store.trouble import OutcomeUnknownError

_DAY: Final = 86400


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch. Times are UTC, by the database's clock."""

    id: bytes
    tenant: str
    state: BatchState
    endpoint: str
    window: str
    input_file: bytes
    output_file: bytes | None
    error_file: bytes | None
    metadata: bytes | None
    errors: bytes | None
    total: int
    completed: int
    failed: int
    read_bytes: int
    read_lines: int
    created_at: datetime
    in_progress_at: datetime | None
    finalizing_at: datetime | None
    cancelling_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime
    over: bool
    """Its window has ended."""


COLUMNS: Final = f"""id, tenant, state, endpoint, window_, input_file, output_file, error_file, metadata_, errors, total, completed, failed,
 read_bytes, read_lines, created_at, in_progress_at, finalizing_at, cancelling_at, ended_at, expires_at, expires_at <= {NOW} AS is_over"""
_ONE: Final = sql(f"SELECT {COLUMNS} FROM slicewise_batches WHERE id = :id AND pool = :pool AND tenant = :tenant")
_INPUT: Final = sql(
    """SELECT seq, purpose FROM slicewise_files WHERE id = :file AND pool = :pool AND tenant = :tenant AND state = 'ready'
 FOR UPDATE"""
)
_OPEN: Final = sql(
    "SELECT COUNT(*) FROM slicewise_batches WHERE pool = :pool AND tenant = :tenant AND state IN :states", "states"
)
_ADD: Final = sql(
    f"""INSERT IGNORE INTO slicewise_batches
 (id, pool, tenant, state, endpoint, window_, input_file, output_seconds, metadata_, created_at, due_at, expires_at)
 VALUES (:id, :pool, :tenant, 'validating', :endpoint, :window, :file, :kept, :metadata, {NOW}, {NOW},
 {NOW} + INTERVAL :seconds SECOND)"""
)
_KEEP_INPUT: Final = sql(
    f"UPDATE slicewise_files SET due_at = GREATEST(due_at, {NOW} + INTERVAL :seconds SECOND) WHERE seq = :seq"
)
_PLACE: Final = sql("SELECT seq FROM slicewise_batches WHERE id = :id AND pool = :pool AND tenant = :tenant")
_LOCK: Final = sql(
    "SELECT seq, state FROM slicewise_batches WHERE id = :id AND pool = :pool AND tenant = :tenant FOR UPDATE"
)
_CANCEL: Final = sql(
    f"UPDATE slicewise_batches SET state = 'cancelling', cancelling_at = {NOW}, due_at = {NOW} WHERE seq = :seq"
)
_OPEN_JOBS: Final = sql(
    """SELECT j.seq, j.id, j.state FROM slicewise_jobs j JOIN slicewise_batch_lines l ON l.job = j.id WHERE l.batch = :batch
 AND j.state IN ('queued', 'waiting', 'running') ORDER BY j.seq FOR UPDATE"""
)


def batch_of(row: Any) -> Batch:
    """Return the batch in a row of these columns."""
    return Batch(
        id=row.id,
        tenant=row.tenant,
        state=BatchState(row.state),
        endpoint=row.endpoint,
        window=row.window_,
        input_file=row.input_file,
        output_file=row.output_file,
        error_file=row.error_file,
        metadata=row.metadata_,
        errors=row.errors,
        total=row.total,
        completed=row.completed,
        failed=row.failed,
        read_bytes=row.read_bytes,
        read_lines=row.read_lines,
        created_at=row.created_at,
        in_progress_at=row.in_progress_at,
        finalizing_at=row.finalizing_at,
        cancelling_at=row.cancelling_at,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
        over=bool(row.is_over),
    )


async def make_batch(
    database: Database, whose: tuple[str, str], batch_id: bytes, wanted: WantedBatch, most_open: int
) -> Batch | str:
    """Return the new batch, or why it was not made: `no_file`, `wrong_purpose`, `too_many`. Raises StoreError."""
    pool, tenant = whose

    async def work(connection: AsyncConnection) -> Batch | str:
        values = {"pool": pool, "tenant": tenant, "file": wanted.input_file}
        file = (await connection.execute(_INPUT, values)).one_or_none()
        if file is None:
            return "no_file"
        if file.purpose != "batch":
            return "wrong_purpose"
        states = [state.value for state in OPEN_BATCH]
        if (await connection.scalar(_OPEN, {**values, "states": states}) or 0) >= most_open:
            return "too_many"
        more = {
            "id": batch_id,
            "endpoint": wanted.endpoint,
            "window": wanted.window,
            "seconds": wanted.window_seconds,
            "kept": None if wanted.output_seconds is None else round(wanted.output_seconds),
            "metadata": wanted.metadata,
        }
        await connection.execute(_ADD, {**values, **more})
        await connection.execute(_KEEP_INPUT, {"seq": file.seq, "seconds": wanted.window_seconds + _DAY})
        found = await _one(connection, whose, batch_id)
        assert found is not None  # noqa: S101 - it was written just now
        return found

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)


async def _one(connection: AsyncConnection, whose: tuple[str, str], batch_id: bytes) -> Batch | None:
    row = (await connection.execute(_ONE, {"id": batch_id, "pool": whose[0], "tenant": whose[1]})).one_or_none()
    return None if row is None else batch_of(row)


async def find_batch(database: Database, whose: tuple[str, str], batch_id: bytes) -> Batch | None:
    """Return a batch; None where the tenant has no such batch. Raises StoreError."""
    return await database.run(lambda connection: _one(connection, whose, batch_id))


async def page_of_batches(
    database: Database, whose: tuple[str, str], after_id: bytes | None, most: int
) -> list[Batch] | None:
    """Return at most `most` batches, newest first, from behind `after_id` on; None where that one does not exist. Raises StoreError."""

    async def work(connection: AsyncConnection) -> list[Batch] | None:
        values: dict[str, Any] = {"pool": whose[0], "tenant": whose[1], "most": most}
        where = "pool = :pool AND tenant = :tenant"
        if after_id is not None:
            values["before"] = await connection.scalar(_PLACE, {"id": after_id, **values})
            if values["before"] is None:
                return None
            where += " AND seq < :before"
        statement = f"SELECT {COLUMNS} FROM slicewise_batches WHERE {where} ORDER BY seq DESC LIMIT :most"
        return [batch_of(row) for row in await connection.execute(sql(statement), values)]

    return await database.run(work)


async def cancel_batch(
    database: Database, whose: tuple[str, str], batch_id: bytes, keep_seconds: float
) -> tuple[BatchState, Batch, list[bytes]] | None:
    """Return the state that a batch was in, the batch, and its jobs that ran. An open one is cancelling now. Raises StoreError."""

    async def work(connection: AsyncConnection) -> tuple[BatchState, Batch, list[bytes]] | None:
        row = (await connection.execute(_LOCK, {"id": batch_id, "pool": whose[0], "tenant": whose[1]})).one_or_none()
        if row is None:
            return None
        was, ran = BatchState(row.state), []
        if was in {BatchState.VALIDATING, BatchState.IN_PROGRESS}:
            await connection.execute(_CANCEL, {"seq": row.seq})
            ran = await end_jobs(connection, batch_id, keep_seconds)
        batch = await _one(connection, whose, batch_id)
        assert batch is not None  # noqa: S101 - it is locked
        return was, batch, ran

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)


async def end_jobs(connection: AsyncConnection, batch_id: bytes, keep_seconds: float) -> list[bytes]:
    """Cancel the open jobs of a batch, and return those that ran. Nothing that still runs for them is written any more."""
    rows: Sequence[Any] = (await connection.execute(_OPEN_JOBS, {"batch": batch_id})).all()
    if rows:
        end = sql(
            f"""UPDATE slicewise_jobs SET state = 'cancelled', owner = NULL, token = token + 1, finished_at = {NOW},
 due_at = {after(keep_seconds)} WHERE seq IN :seqs""",
            "seqs",
        )
        await connection.execute(end, {"seqs": [row.seq for row in rows]})
    return [row.id for row in rows if row.state == State.RUNNING]
