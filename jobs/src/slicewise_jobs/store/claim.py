"""Claiming jobs: the ones with the lowest ranks that no other dispatcher is claiming."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.store.database import Database
from slicewise_jobs.store.sql import NOW, after, sql


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


CLAIM: Final = f"""SELECT seq, id, tenant, token, attempts, path,
 TIMESTAMPDIFF(MICROSECOND, created_at, {NOW}) / 1e6 AS waited FROM slicewise_jobs FORCE INDEX (slicewise_jobs_claim)
 WHERE pool = :pool AND state = 'queued' AND (due_at IS NULL OR due_at > {NOW})
 ORDER BY rank_, seq LIMIT :most FOR UPDATE SKIP LOCKED"""
_CLAIM: Final = sql(CLAIM)
_BODIES: Final = sql("SELECT id, body FROM slicewise_job_inputs WHERE id IN :ids", "ids")


async def claim(database: Database, pool: str, owner: str, most: int, lease_seconds: float) -> list[Claimed]:
    """Return at most `most` jobs, which are the owner's for `lease_seconds`. Raises StoreError.

    Where that it failed is not known, the jobs' leases end without a result, and they are claimed again.
    """
    take = sql(
        f"""UPDATE slicewise_jobs SET state = 'running', owner = :owner, token = token + 1, attempts = attempts + 1,
 started_at = {NOW}, due_at = {after(lease_seconds)} WHERE seq IN :seqs""",
        "seqs",
    )

    async def work(connection: AsyncConnection) -> list[Claimed]:
        rows = (await connection.execute(_CLAIM, {"pool": pool, "most": most})).all()
        if not rows:
            return []
        await connection.execute(take, {"owner": owner, "seqs": [row.seq for row in rows]})
        bodies = {row.id: row.body for row in await connection.execute(_BODIES, {"ids": [row.id for row in rows]})}
        return [
            Claimed(
                row.seq,
                row.id,
                row.tenant,
                row.token + 1,
                row.attempts + 1,
                row.path,
                bodies[row.id],
                float(row.waited),
            )
            for row in rows
        ]

    return await database.run(work)


_SOME: Final = sql(
    f"""SELECT EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_claim) WHERE pool = :pool AND state = 'queued') AS queued,
 EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_due)
 WHERE pool = :pool AND state IN ('queued', 'waiting', 'running', 'done', 'error', 'cancelled', 'expired') AND due_at <= {NOW}) AS due"""
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to do."""

    queued: bool
    due: bool
    """The state of a job has ended by itself."""


async def look_for_work(database: Database, pool: str) -> Looked:
    """Return whether there is anything to do: the one query of an idle dispatcher. Raises StoreError."""

    async def work(connection: AsyncConnection) -> Looked:
        row = (await connection.execute(_SOME, {"pool": pool})).one()
        return Looked(bool(row.queued), bool(row.due))

    return await database.run(work)
