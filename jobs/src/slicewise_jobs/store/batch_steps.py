"""How a batch goes on: each step is one short transaction under the lock of the batch's row, so any program may do the next one.

The input is read up to `read_bytes`, and that moves in the transaction that makes jobs of what was read. A job's answer moves to the
output in the transaction that deletes the job. So a step that is interrupted never was, and none is done twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.batch import ENDS_AS, BatchState
from slicewise_jobs.decisions.body import make_id
from slicewise_jobs.decisions.lines import Line
from slicewise_jobs.decisions.priority import LOW
from slicewise_jobs.store.batches import COLUMNS, Batch, batch_of, end_jobs
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.outputs import Output, append, close_outputs, collect
from slicewise_jobs.store.sql import NOW, after, sql
from slicewise_jobs.store.submit import NewJob, insert

_OPEN: Final = sql(
    f"""SELECT {COLUMNS} FROM slicewise_batches FORCE INDEX (slicewise_batches_due) WHERE pool = :pool
 AND state IN ('validating', 'in_progress', 'finalizing', 'cancelling') AND due_at <= {NOW} ORDER BY seq LIMIT 100"""
)
_LOCK: Final = sql(f"SELECT seq, {COLUMNS} FROM slicewise_batches WHERE id = :id FOR UPDATE SKIP LOCKED")
_TAKE: Final = sql(
    f"UPDATE slicewise_batches SET due_at = {after(60)} WHERE id = :id AND state = 'validating' AND due_at <= {NOW}"
)
_HOLD: Final = sql(f"UPDATE slicewise_batches SET due_at = {after(60)} WHERE id = :id AND state = 'validating'")
_GOOD: Final = sql(
    f"""UPDATE slicewise_batches SET state = 'in_progress', in_progress_at = {NOW}, due_at = {NOW}, total = :total
 WHERE id = :id AND state = 'validating'"""
)
_MOVE: Final = sql("UPDATE slicewise_batches SET read_bytes = :bytes, read_lines = :lines WHERE id = :id")
_CUT: Final = sql("UPDATE slicewise_batches SET total = read_lines WHERE id = :id")
_ADD_LINES: Final = sql("INSERT INTO slicewise_batch_lines (job, batch, custom_id) VALUES (:job, :batch, :custom_id)")
_OUTSTANDING: Final = sql("SELECT COUNT(*) FROM slicewise_batch_lines WHERE batch = :batch")


@dataclass(frozen=True, slots=True)
class Read:
    """Lines of the input that come next, and where it is read up to with them."""

    lines: Sequence[Line]
    refused: Sequence[tuple[str, str, str]]
    """Lines that an older program took for good: `custom_id`, code and message."""
    bytes: int
    """Of the file, from its start."""

    def __len__(self) -> int:
        return len(self.lines) + len(self.refused)


async def open_batches(database: Database, pool: str) -> list[Batch]:
    """Return the batches of a pool that have something to be done. Raises StoreError."""

    async def work(connection: AsyncConnection) -> list[Batch]:
        return [batch_of(row) for row in await connection.execute(_OPEN, {"pool": pool})]

    return await database.run(work)


async def take_for_check(database: Database, batch_id: bytes, *, again: bool = False) -> bool:
    """Return whether the caller is the one that checks the input, for a minute; `again`: for a further one. Raises StoreError."""

    async def work(connection: AsyncConnection) -> bool:
        return bool((await connection.execute(_HOLD if again else _TAKE, {"id": batch_id})).rowcount)

    return await database.run(work)


async def checked(database: Database, batch_id: bytes, total: int, errors: Sequence[Any], keep_seconds: float) -> None:
    """Write down that an input was checked: it goes on, or has failed. Raises StoreError."""
    fail = sql(
        f"""UPDATE slicewise_batches SET state = 'failed', ended_at = {NOW}, due_at = {after(keep_seconds)}, errors = :errors
 WHERE id = :id AND state = 'validating'"""
    )

    async def work(connection: AsyncConnection) -> None:
        if errors:
            await connection.execute(fail, {"id": batch_id, "errors": json.dumps(list(errors)).encode()})
        else:
            await connection.execute(_GOOD, {"id": batch_id, "total": total})

    await database.run(work)


async def _locked(connection: AsyncConnection, batch: Batch) -> Batch | None:
    """Return the batch as it is now, None where another program is at it or it has moved on."""
    row = (await connection.execute(_LOCK, {"id": batch.id})).one_or_none()
    now = None if row is None else batch_of(row)
    return now if now and now.state is batch.state and now.read_bytes == batch.read_bytes else None


async def outstanding(database: Database, batch_id: bytes) -> int:
    """Return how many jobs a batch has in the queue. Raises StoreError."""

    async def work(connection: AsyncConnection) -> int:
        return int(await connection.scalar(_OUTSTANDING, {"batch": batch_id}) or 0)

    return await database.run(work)


async def feed(database: Database, pool: str, batch: Batch, read: Read) -> int:
    """Return how many jobs were made of the lines that come next. Raises StoreError."""
    jobs = [_job(batch, line) for line in read.lines]

    async def work(connection: AsyncConnection) -> int:
        now = await _locked(connection, batch)
        if now is None:
            return 0
        if jobs:
            await insert(connection, pool, jobs)
            rows = [
                {"job": job.id, "batch": batch.id, "custom_id": line.custom_id}
                for job, line in zip(jobs, read.lines, strict=True)
            ]
            await connection.execute(_ADD_LINES, rows)
        if read.refused:
            await append(connection, Output(pool, now, [], read.refused))
        await _move(connection, batch, read)
        return len(jobs)

    return await database.run(work)


def _job(batch: Batch, line: Line) -> NewJob:
    digest = hashlib.sha256(line.body).digest()
    return NewJob(make_id(time.time(), os.urandom(10)), batch.tenant, batch.endpoint, line.body, digest, priority=LOW)


async def _move(connection: AsyncConnection, batch: Batch, read: Read) -> None:
    values = {"id": batch.id, "bytes": read.bytes, "lines": batch.read_lines + len(read)}
    await connection.execute(_MOVE, values)


async def skip(database: Database, pool: str, batch: Batch, read: Read) -> int:
    """Write the lines that come next to the file of errors: their batch has expired or was cancelled. Raises StoreError."""

    async def work(connection: AsyncConnection) -> int:
        now = await _locked(connection, batch)
        if now is None:
            return 0
        skipped = [(line.custom_id, *words_of(batch.state)) for line in read.lines]
        await append(connection, Output(pool, now, [], [*skipped, *read.refused]))
        await _move(connection, batch, read)
        return len(read)

    return await database.run(work)


async def cut(database: Database, batch: Batch) -> None:
    """Let a batch end with the lines that were read: there are no more. Raises StoreError."""

    async def work(connection: AsyncConnection) -> None:
        if await _locked(connection, batch):
            await connection.execute(_CUT, {"id": batch.id})

    await database.run(work)


def words_of(state: BatchState) -> tuple[str, str]:
    """Return code and message of a line that did not run to its end."""
    if state is BatchState.CANCELLING:
        return "batch_cancelled", "The batch was cancelled before this request had an answer."
    return "batch_expired", "This request could not be executed before the completion window expired."


async def expire(database: Database, batch: Batch, keep_seconds: float) -> list[bytes]:
    """End a batch whose window is over, and return its jobs that ran. Raises StoreError."""
    states = "WHERE id = :id AND state IN ('validating', 'in_progress')"
    over = sql(f"UPDATE slicewise_batches SET state = 'finalizing', finalizing_at = {NOW}, due_at = {NOW} {states}")

    async def work(connection: AsyncConnection) -> list[bytes]:
        if await _locked(connection, batch) is None:
            return []
        await connection.execute(over, {"id": batch.id})
        return await end_jobs(connection, batch.id, keep_seconds)

    return await database.run(work)


async def gather(database: Database, pool: str, batch: Batch) -> int:
    """Move the answers of jobs that have ended to the batch's files. Returns how many. Raises StoreError."""

    async def work(connection: AsyncConnection) -> int:
        now = await _locked(connection, batch)
        return 0 if now is None else await collect(connection, pool, now, words_of(now.state))

    return await database.run(work)


async def end(database: Database, batch: Batch, keep_seconds: float) -> bool:
    """Return whether the batch has ended now: everything was read, and every job has its line in an output. Raises StoreError."""

    async def work(connection: AsyncConnection) -> bool:
        now = await _locked(connection, batch)
        if now is None or now.read_lines < now.total:
            return False
        if await connection.scalar(_OUTSTANDING, {"batch": batch.id}):
            return False
        finish = sql(
            f"""UPDATE slicewise_batches SET state = :state, finalizing_at = COALESCE(finalizing_at, {NOW}), ended_at = {NOW},
 due_at = {after(keep_seconds)} WHERE id = :id"""
        )
        await close_outputs(connection, batch.id, keep_seconds)
        await connection.execute(finish, {"id": batch.id, "state": ENDS_AS[batch.state].value})
        return True

    return await database.run(work)


async def delete_due_batches(database: Database, pool: str) -> int:
    """Return how many batches were deleted that ended long ago; their files have times of their own. Raises StoreError."""
    gone = sql(
        f"""DELETE FROM slicewise_batches WHERE pool = :pool AND state IN ('failed', 'completed', 'expired', 'cancelled')
 AND due_at <= {NOW} LIMIT 100"""
    )

    async def work(connection: AsyncConnection) -> int:
        return (await connection.execute(gone, {"pool": pool})).rowcount

    return await database.run(work)
