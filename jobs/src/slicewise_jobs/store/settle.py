"""Writing down what became of claimed jobs: several in one transaction, each fenced by the token of its claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, sql
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


_LOCK: Final = sql(
    "SELECT seq, token, state, attempts FROM slicewise_jobs WHERE seq IN :seqs ORDER BY seq FOR UPDATE", "seqs"
)
_ADD_RESULT: Final = sql(
    """INSERT INTO slicewise_job_results (id, status, content_type, served_by, body)
 VALUES (:id, :status, :content_type, :served_by, :body)"""
)
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
        rows = await connection.execute(_LOCK, {"seqs": [item.seq for item in items]})
        there = {row.seq: row for row in rows}
        fates = [_fate(item, there.get(item.seq)) for item in items]
        todo = [item for item, (_, write) in zip(items, fates, strict=True) if write]
        await _write(connection, todo, keep_seconds)
        return [settled for settled, _ in fates]

    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)


def _fate(item: Settlement, row: Any) -> tuple[Settled, bool]:
    """Return what to say of an item, and whether there is something to write."""
    if row is None or row.token != item.token:
        return Settled.LOST, False
    if row.state == State.RUNNING:
        return Settled.WRITTEN, True
    # Written before, by a transaction whose end was not heard of.
    return (Settled.WRITTEN if row.state == item.state else Settled.LOST), False


async def _write(connection: AsyncConnection, items: Sequence[Settlement], keep_seconds: float) -> None:
    if done := [item for item in items if item.state is State.DONE and item.result]:
        await connection.execute(_ADD_RESULT, [_result(item) for item in done])
        finish = sql(_finished("done", keep_seconds) + " WHERE seq IN :seqs", "seqs")
        await connection.execute(finish, {"seqs": [item.seq for item in done], "error": None})
    for item in items:
        if item.state is State.ERROR:
            fail = sql(_finished("error", keep_seconds) + " WHERE seq = :seq")
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


def _finished(state: str, keep_seconds: float) -> str:
    return (
        f"UPDATE slicewise_jobs SET state = '{state}', owner = NULL, last_error = COALESCE(:error, last_error), "
        f"finished_at = {NOW}, due_at = {after(keep_seconds)}"
    )


def _result(item: Settlement) -> dict[str, Any]:
    assert item.result is not None  # noqa: S101 - the caller has looked
    result = item.result
    return {
        "id": item.id,
        "status": result.status,
        "content_type": result.content_type,
        "served_by": result.served_by,
        "body": result.body,
    }
