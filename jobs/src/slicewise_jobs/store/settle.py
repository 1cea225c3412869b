"""Writing down what became of claimed jobs: several in one transaction, each fenced by the token of its claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, numbers, sql
from slicewise_jobs.store.trouble import OutcomeUnknownError

MOST_ERROR: Final = 2000
"""Characters of a last error."""


@dataclass(frozen=True, slots=True)
class Result:
    """An answer that is kept."""

    status: int
    content_type: str
    served_by: str
    """What answered in place of the revision's workers, such as `cpu-fallback`; empty: these."""
    body: bytes


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one attempt."""

    seq: int
    id: bytes
    token: int
    state: State
    """`done`, `error`, or back to `waiting` or `queued`."""
    result: Result | None = None
    """Of `done` alone."""
    error: str | None = None
    delay_seconds: float = 0
    """Of `waiting`: until it is queued again."""
    counts: bool = True
    """False: the attempt never began, as where the gateway had no room."""


class Settled(Enum):
    """Whether a settlement was written."""

    WRITTEN = "written"
    LOST = "lost"
    """The claim was no longer the dispatcher's: the job was cancelled, or its lease ended and it was claimed again."""


_ADD_RESULT: Final = """INSERT INTO slicewise_job_results (id, status, content_type, served_by, body)
 VALUES (%s, %s, %s, %s, %s)"""
_BACK: Final = sql(
    f"""UPDATE slicewise_jobs SET state = :state, owner = NULL, attempts = attempts - :not_counted,
 last_error = COALESCE(:error, last_error),
 due_at = IF(:state = 'waiting', {NOW} + INTERVAL :delay MICROSECOND, expires_at) WHERE seq = :seq"""
)


async def settle(database: Database, items: Sequence[Settlement], keep_seconds: float) -> list[Settled]:
    """Return for each item, in order, whether it was written, once that is durable. Raises StoreError; then it may be called again.

    Result and `done` are in one transaction. A settlement that was already written by the same token counts as written.
    """

    async def work(connection: AsyncConnection) -> list[Settled]:
        # Nearly always all of a batch are done, and all are still ours: then the change itself tells so, and no row is read before.
        if all(item.state is State.DONE for item in items):
            if await _finish(connection, items, keep_seconds) == len(items):
                await _keep(connection, items)
                return [Settled.WRITTEN] * len(items)
            await connection.rollback()
        return await _one_by_one(connection, items, keep_seconds)

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)


async def _one_by_one(connection: AsyncConnection, items: Sequence[Settlement], keep_seconds: float) -> list[Settled]:
    """Look at each job before something is written."""
    seqs = numbers(item.seq for item in items)
    rows = await connection.exec_driver_sql(
        f"SELECT seq, token, state FROM slicewise_jobs WHERE seq IN ({seqs}) ORDER BY seq FOR UPDATE"
    )
    there = {row.seq: row for row in rows}
    fates = [_fate(item, there.get(item.seq)) for item in items]
    await _write(connection, [item for item, (_, write) in zip(items, fates, strict=True) if write], keep_seconds)
    return [settled for settled, _ in fates]


def _fate(item: Settlement, row: Any) -> tuple[Settled, bool]:
    """Return what to say of an item, and whether there is something to write."""
    if row is None or row.token != item.token:
        return Settled.LOST, False
    if row.state == State.RUNNING:
        return Settled.WRITTEN, True
    # Written before, by a transaction whose end was not heard of.
    return (Settled.WRITTEN if row.state == item.state else Settled.LOST), False


async def _write(connection: AsyncConnection, items: Sequence[Settlement], keep_seconds: float) -> None:
    if done := [item for item in items if item.state is State.DONE]:
        await _finish(connection, done, keep_seconds)
        await _keep(connection, done)
    for item in items:
        if item.state is State.ERROR:
            fail = sql(
                f"""UPDATE slicewise_jobs SET state = 'error', owner = NULL, last_error = :error, finished_at = {NOW},
 due_at = {after(keep_seconds)} WHERE seq = :seq"""
            )
            await connection.execute(fail, {"seq": item.seq, "error": (item.error or "")[:MOST_ERROR]})
        elif item.state in {State.WAITING, State.QUEUED}:
            await connection.execute(
                _BACK,
                {
                    "seq": item.seq,
                    "state": item.state.value,
                    "not_counted": 0 if item.counts else 1,
                    "error": item.error[:MOST_ERROR] if item.error else None,
                    "delay": round(item.delay_seconds * 1_000_000),
                },
            )


async def _finish(connection: AsyncConnection, items: Sequence[Settlement], keep_seconds: float) -> int:
    """Return how many of these jobs are `done` now: those that still run under the token of their claim."""
    claims = ",".join([f"({int(item.seq)},{int(item.token)})" for item in items])
    finished = await connection.exec_driver_sql(
        f"""UPDATE slicewise_jobs SET state = 'done', owner = NULL, finished_at = {NOW}, due_at = {after(keep_seconds)}
 WHERE seq IN ({numbers(item.seq for item in items)}) AND (seq, token) IN ({claims}) AND state = 'running'"""
    )
    return finished.rowcount


async def _keep(connection: AsyncConnection, items: Sequence[Settlement]) -> None:
    results = [(item.id, item.result) for item in items if item.result]
    rows = [(job, kept.status, kept.content_type, kept.served_by, kept.body) for job, kept in results]
    if rows:
        await connection.exec_driver_sql(_ADD_RESULT, rows)
