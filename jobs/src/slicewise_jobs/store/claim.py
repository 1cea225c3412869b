"""Claiming jobs: the ones with the lowest ranks that no other dispatcher is claiming."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions.priority import NAMES, choose
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, numbers, sql


@dataclass(frozen=True, slots=True)
class Claimed:
    """A job that is the dispatcher's, as long as its lease is renewed and no later claim has a higher token."""

    seq: int
    id: bytes
    tenant: str
    token: int
    attempt: int
    """1 for the first one. It counts before the work begins, so that a job that kills its dispatcher ends, too."""
    path: str
    body: bytes
    waited_seconds: float
    """From its acceptance to this claim."""


_FIELDS: Final = (
    f"""seq, j.id, tenant, token, attempts, path, TIMESTAMPDIFF(MICROSECOND, created_at, {NOW}) AS waited"""
)
_QUEUED: Final = f"""WHERE pool = :pool AND state = 'queued' AND (due_at IS NULL OR due_at > {NOW})
 ORDER BY rank_, seq LIMIT :most FOR UPDATE SKIP LOCKED"""
# Locks the inputs, too, which nothing else changes while a job is queued: one statement less for each claim.
CLAIM: Final = f"""SELECT {_FIELDS}, body FROM slicewise_jobs j FORCE INDEX (slicewise_jobs_claim)
 STRAIGHT_JOIN slicewise_job_inputs i ON i.id = j.id {_QUEUED}"""
_CLAIM: Final = sql(CLAIM)
_TURNS: Final = sql(
    f"SELECT {_FIELDS}, rank_, priority FROM slicewise_jobs j FORCE INDEX (slicewise_jobs_claim) {_QUEUED}"
)
_OF_PRIORITY: Final = sql(
    f"""SELECT {_FIELDS}, rank_, priority FROM slicewise_jobs j FORCE INDEX (slicewise_jobs_priority)
 WHERE pool = :pool AND state = 'queued' AND priority = :priority AND tenant = :tenant AND (due_at IS NULL OR due_at > {NOW})
 ORDER BY seq LIMIT :most FOR UPDATE SKIP LOCKED"""
)
_RANK: Final = sql("UPDATE slicewise_jobs SET rank_ = :rank WHERE seq = :seq")
_BODIES: Final = sql("SELECT id, body FROM slicewise_job_inputs WHERE id IN :ids", "ids")


async def claim(
    database: Database, pool: str, owner: str, most: int, lease_seconds: float, *, priorities: bool = False
) -> list[Claimed]:
    """Return at most `most` jobs, which are the owner's for `lease_seconds`. Raises StoreError.

    `priorities`: not all that is queued has the same one; asking for that costs queries.
    Where that it failed is not known, the jobs' leases end without a result, and they are claimed again.
    """
    take = f"""UPDATE slicewise_jobs SET state = 'running', owner = %s, token = token + 1, attempts = attempts + 1,
 started_at = {NOW}, due_at = {after(lease_seconds)} WHERE seq IN ("""

    async def work(connection: AsyncConnection) -> list[Claimed]:
        rows: Sequence[Any]
        if priorities:
            rows = await _by_priority(connection, pool, most)
        else:
            rows = (await connection.execute(_CLAIM, {"pool": pool, "most": most})).all()
        if not rows:
            return []
        await connection.exec_driver_sql(f"{take}{numbers(row[0] for row in rows)})", (owner,))
        return [
            Claimed(seq, job_id, tenant, token + 1, attempts + 1, path, body, waited / 1e6)
            for seq, job_id, tenant, token, attempts, path, waited, body in rows
        ]

    return await database.run(work)


async def _by_priority(connection: AsyncConnection, pool: str, most: int) -> list[Any]:
    """Return the jobs that take the next turns: of each tenant as many. What does not run now takes their later turns."""
    rows = (await connection.execute(_TURNS, {"pool": pool, "most": most})).all()
    taken: list[Any] = []
    for tenant in dict.fromkeys(row.tenant for row in rows):
        turns = [row for row in rows if row.tenant == tenant]
        waiting: dict[int, list[Any]] = {}
        for priority in NAMES.values():
            values = {"pool": pool, "tenant": tenant, "priority": priority, "most": len(turns)}
            waiting[priority] = list((await connection.execute(_OF_PRIORITY, values)).all())
        # Those of other dispatchers' claims are skipped, and these are ours.
        known = {row.seq: row for row in [*turns, *(row for found in waiting.values() for row in found)]}
        chosen = choose(
            (row.rank_ for row in turns), {key: [row.seq for row in found] for key, found in waiting.items()}
        )
        free = [known[seq].rank_ for seq in chosen if seq not in {row.seq for row in turns}]
        displaced = [row.seq for row in turns if row.seq not in chosen]
        for seq, rank in zip(displaced, free, strict=False):
            await connection.execute(_RANK, {"seq": seq, "rank": rank})
        taken += [known[seq] for seq in chosen]
    if not taken:
        return []
    bodies = {row.id: row.body for row in await connection.execute(_BODIES, {"ids": [row.id for row in taken]})}
    return [(*row[:7], bodies[row.id]) for row in taken]


_SOME: Final = sql(
    f"""SELECT EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_claim) WHERE pool = :pool AND state = 'queued') AS queued,
 EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_due)
 WHERE pool = :pool AND state IN ('queued', 'waiting', 'running', 'done', 'error', 'cancelled', 'expired') AND due_at <= {NOW}) AS due,
 EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_priority)
 WHERE pool = :pool AND state = 'queued' AND priority IN (0, 2)) AS prior"""
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to do."""

    queued: bool
    due: bool
    """The state of a job has ended by itself."""
    priorities: bool
    """Some job that is queued has a priority of its own."""


async def look_for_work(database: Database, pool: str) -> Looked:
    """Return whether there is anything to do: the one query of an idle dispatcher. Raises StoreError."""

    async def work(connection: AsyncConnection) -> Looked:
        row = (await connection.execute(_SOME, {"pool": pool})).one()
        return Looked(bool(row.queued), bool(row.due), bool(row.prior))

    return await database.run(work)
