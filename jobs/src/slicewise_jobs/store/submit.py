"""Accepting jobs: those of several requests in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.priority import NORMAL
from slicewise_jobs.decisions.rank import ranks
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, sql
from slicewise_jobs.store.trouble import DUPLICATE, OutcomeUnknownError, StoreError


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job that a client sends."""

    id: bytes
    tenant: str
    path: str
    body: bytes
    body_hash: bytes
    key: str | None = None
    """The client's `Idempotency-Key`."""
    delay_seconds: float | None = None
    """None: it may run at once."""
    expires_seconds: float | None = None
    """None: it waits for as long as it takes."""
    priority: int = NORMAL


@dataclass(frozen=True, slots=True)
class Accepted:
    """A job that is durable: the one that was sent, or an earlier one that was sent with the same key."""

    id: bytes
    state: State
    created_at: datetime
    same_body: bool
    """False: the key was used with another body, and nothing was added."""
    new: bool


_KNOWN: Final = sql(
    """SELECT id, tenant, idempotency_key, body_hash, state, created_at FROM slicewise_jobs
 WHERE pool = :pool AND tenant IN :tenants AND idempotency_key IN :keys""",
    "tenants",
    "keys",
)
_BY_ID: Final = sql("SELECT id, created_at, state FROM slicewise_jobs WHERE id IN :ids", "ids")
_LAST: Final = sql("SELECT MAX(rank_) FROM slicewise_jobs WHERE pool = :pool AND tenant = :tenant AND state = 'queued'")
_LOWEST: Final = sql("SELECT MIN(rank_) FROM slicewise_jobs WHERE pool = :pool AND state = 'queued'")
_NOW: Final = sql(f"SELECT {NOW}")
# Values alone, no expressions: only then does the driver send many rows as one statement.
_ADD: Final = sql(
    """INSERT INTO slicewise_jobs
 (id, pool, tenant, state, rank_, due_at, expires_at, path, body_bytes, body_hash, idempotency_key, created_at, priority)
 VALUES (:id, :pool, :tenant, :state, :rank, :due, :expires, :path, :bytes, :hash, :key, :created, :priority)"""
)
_ADD_INPUT: Final = sql("INSERT INTO slicewise_job_inputs (id, body) VALUES (:id, :body)")
_TRIES: Final = 3


async def submit(database: Database, pool: str, new: Sequence[NewJob]) -> list[Accepted]:
    """Return what became of each job, in order, once that is durable. Raises StoreError where nothing of it is.

    A batch whose fate is not known is looked up and sent again under the same ids. Raises OutcomeUnknownError where that fails, too.
    """
    unknown: OutcomeUnknownError | None = None
    for _ in range(_TRIES):
        try:
            return await database.run(lambda connection: _add(connection, pool, new))
        except OutcomeUnknownError as error:
            unknown = error
        except StoreError as error:
            if unknown:
                raise unknown from error
            # Another API has just taken one of the keys: it is found the next time.
            if error.code != DUPLICATE:
                raise
    raise unknown or AssertionError("keys were taken three times while they were looked up")


async def _add(connection: AsyncConnection, pool: str, new: Sequence[NewJob]) -> list[Accepted]:
    known = await _known(connection, pool, new)
    found = await connection.execute(_BY_ID, {"ids": [job.id for job in new]})
    there: dict[bytes, Any] = {row.id: row for row in found}
    fresh: list[NewJob] = []
    for job in new:
        if job.id in there or (job.key and (job.tenant, job.key) in known):
            continue
        fresh.append(job)
        if job.key:
            # A second one of the same batch is the same job.
            known[job.tenant, job.key] = (job.id, job.body_hash, None, None)
    if fresh:
        now = await insert(connection, pool, fresh)
        there |= {job.id: _Row(job.id, now, _state(job)) for job in fresh}
    added = {job.id for job in fresh}
    return [_accepted(job, known, there, added) for job in new]


_Known = dict[tuple[str, str], tuple[bytes, bytes, str | None, datetime | None]]


async def _known(connection: AsyncConnection, pool: str, new: Sequence[NewJob]) -> _Known:
    keyed = [job for job in new if job.key]
    if not keyed:
        return {}
    tenants, keys = {job.tenant for job in keyed}, {job.key for job in keyed}
    rows = await connection.execute(_KNOWN, {"pool": pool, "tenants": list(tenants), "keys": list(keys)})
    return {(row.tenant, row.idempotency_key): (row.id, row.body_hash, row.state, row.created_at) for row in rows}


@dataclass(frozen=True, slots=True)
class _Row:
    """Of a job that is there, as `_BY_ID` has it."""

    id: bytes
    created_at: datetime
    state: str


async def insert(connection: AsyncConnection, pool: str, fresh: Sequence[NewJob]) -> datetime:
    """Queue jobs that are known to be new, and return when that was, by the database's clock."""
    now: datetime = await connection.scalar(_NOW)
    last, lowest = await last_ranks(connection, pool, {job.tenant for job in fresh})
    given = ranks((job.tenant for job in fresh), last, lowest)
    rows = [
        {
            "id": job.id,
            "pool": pool,
            "tenant": job.tenant,
            "state": _state(job),
            "rank": rank,
            "due": _from(now, job.expires_seconds if job.delay_seconds is None else job.delay_seconds),
            "expires": _from(now, job.expires_seconds),
            "path": job.path,
            "bytes": len(job.body),
            "hash": job.body_hash,
            "key": job.key,
            "created": now,
            "priority": job.priority,
        }
        for job, rank in zip(fresh, given, strict=True)
    ]
    await connection.execute(_ADD, rows)
    await connection.execute(_ADD_INPUT, [{"id": job.id, "body": job.body} for job in fresh])
    return now


def _state(job: NewJob) -> str:
    return (State.QUEUED if job.delay_seconds is None else State.WAITING).value


async def last_ranks(
    connection: AsyncConnection, pool: str, tenants: Iterable[str]
) -> tuple[dict[str, int | None], int | None]:
    """Return tenant → the highest rank among its queued jobs, and the lowest rank of all; None where nothing is queued."""
    last = {tenant: await connection.scalar(_LAST, {"pool": pool, "tenant": tenant}) for tenant in tenants}
    return last, await connection.scalar(_LOWEST, {"pool": pool})


def _from(now: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else now + timedelta(seconds=seconds)


def _accepted(job: NewJob, known: _Known, there: dict[bytes, Any], added: set[bytes]) -> Accepted:
    row = there.get(job.id)
    if row is not None:
        return Accepted(job.id, State(row.state), row.created_at, same_body=True, new=job.id in added)
    first, body_hash, state, created_at = known[job.tenant, job.key or ""]
    if state is None or created_at is None:
        state, created_at = there[first].state, there[first].created_at
    return Accepted(first, State(state), created_at, same_body=body_hash == job.body_hash, new=False)
