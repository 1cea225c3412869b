"""What happens to jobs by time alone: leases end, waits end, jobs expire, and those that ended long ago are deleted.

Any dispatcher may do it, and several at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.rank import ranks
from slicewise_jobs.decisions.states import FINAL, State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, sql
from slicewise_jobs.store.submit import last_ranks

MOST: Final = 500
"""Jobs of one round: a transaction stays short."""
_DUE: Final = sql(
    f"""SELECT seq FROM slicewise_jobs FORCE INDEX (slicewise_jobs_due) WHERE pool = :pool AND state IN :states
 AND due_at <= {NOW} LIMIT {MOST}""",
    "states",
)
_LOCK: Final = sql(
    f"""SELECT seq, id, tenant, state, attempts, expires_at <= {NOW} AS is_over FROM slicewise_jobs
 WHERE seq IN :seqs AND due_at <= {NOW} ORDER BY seq FOR UPDATE SKIP LOCKED""",
    "seqs",
)
_LINES: Final = sql("SELECT job FROM slicewise_batch_lines WHERE job IN :ids", "ids")
_QUEUE: Final = sql(
    "UPDATE slicewise_jobs SET state = 'queued', owner = NULL, rank_ = :rank, due_at = expires_at WHERE seq = :seq"
)
_AGAIN: Final = sql(
    """UPDATE slicewise_jobs SET state = 'queued', owner = NULL, due_at = expires_at,
 last_error = 'The dispatcher that ran it is gone.' WHERE seq IN :seqs""",
    "seqs",
)


async def keep_time(
    database: Database, pool: str, *, max_attempts: int, keep_seconds: float, leases: bool = True
) -> Counter[str]:
    """Return what happened to how many jobs: `lease_ended`, `dead`, `queued`, `expired`, `deleted`. Raises StoreError.

    `leases` False: those that have ended stay, as after an outage of the database, in which no dispatcher could renew its own.
    """
    states = [state.value for state in State if leases or state is not State.RUNNING]

    async def work(connection: AsyncConnection) -> Counter[str]:
        due = (await connection.execute(_DUE, {"pool": pool, "states": states})).scalars().all()
        if not due:
            return Counter()
        rows = (await connection.execute(_LOCK, {"seqs": list(due)})).all()
        rows = [row for row in rows if leases or row.state != State.RUNNING]
        return await _settle(connection, pool, rows, max_attempts, keep_seconds)

    return await database.run(work)


async def _settle(
    connection: AsyncConnection, pool: str, rows: Sequence[Any], max_attempts: int, keep_seconds: float
) -> Counter[str]:
    ended = [row for row in rows if row.state == State.RUNNING]
    dead = [row for row in ended if row.attempts >= max_attempts]
    expired = [row for row in rows if row.state in {State.QUEUED, State.WAITING} and row.is_over]
    waited = [row for row in rows if row.state == State.WAITING and not row.is_over]
    old = await _without_lines(connection, [row for row in rows if row.state in FINAL], keep_seconds)
    again = [row for row in ended if row.attempts < max_attempts]
    if again:
        await connection.execute(_AGAIN, {"seqs": [row.seq for row in again]})
    await _end(connection, dead, State.ERROR, keep_seconds, _gone(max_attempts))
    await _end(connection, expired, State.EXPIRED, keep_seconds, None)
    if waited:
        await _queue(connection, pool, waited)
    if old:
        for table in ("slicewise_job_results", "slicewise_job_inputs", "slicewise_jobs"):
            await connection.execute(
                sql(f"DELETE FROM {table} WHERE id IN :ids", "ids"), {"ids": [row.id for row in old]}
            )
    kinds = {"lease_ended": again, "dead": dead, "queued": waited, "expired": expired, "deleted": old}
    return Counter({kind: len(found) for kind, found in kinds.items() if found})


async def _without_lines(connection: AsyncConnection, rows: Sequence[Any], keep_seconds: float) -> list[Any]:
    """Return those of these jobs that are no lines of a batch: the answers of lines are kept until they are in its output."""
    if not rows:
        return []
    lines = set((await connection.execute(_LINES, {"ids": [row.id for row in rows]})).scalars())
    if kept := [row.seq for row in rows if row.id in lines]:
        later = sql(f"UPDATE slicewise_jobs SET due_at = {after(keep_seconds)} WHERE seq IN :seqs", "seqs")
        await connection.execute(later, {"seqs": kept})
    return [row for row in rows if row.id not in lines]


def _gone(attempts: int) -> str:
    return f"Given up after {attempts} attempts: in the last one the dispatcher that ran it was gone before it had an answer."


async def _end(
    connection: AsyncConnection, rows: Sequence[Any], state: State, keep_seconds: float, error: str | None
) -> None:
    if rows:
        statement = f"""UPDATE slicewise_jobs SET state = :state, owner = NULL, token = token + 1, finished_at = {NOW},
 last_error = COALESCE(:error, last_error), due_at = {after(keep_seconds)} WHERE seq IN :seqs"""
        values = {"state": state.value, "error": error, "seqs": [row.seq for row in rows]}
        await connection.execute(sql(statement, "seqs"), values)


async def _queue(connection: AsyncConnection, pool: str, rows: Sequence[Any]) -> None:
    """Give jobs whose wait is over a rank as if they had just come: many of one tenant do not go before another's one."""
    last, lowest = await last_ranks(connection, pool, {row.tenant for row in rows})
    given = ranks((row.tenant for row in rows), last, lowest)
    values = [{"seq": row.seq, "rank": rank} for row, rank in zip(rows, given, strict=True)]
    await connection.execute(_QUEUE, values)
