"""Claiming jobs: the ones with the lowest ranks that no other dispatcher is claiming."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


@dataclass(frozen=True, slots=True)
class Claims:
    """What a claim has brought."""

    jobs: list[Claimed]
    more: bool
    """Others may be claimed at once."""


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


_NOTHING: Final[Mapping[str, float]] = {}


async def claim(  # noqa: PLR0913 - all of it is said by name where it is unusual
    database: Database,
    pool: str,
    owner: str,
    most: int,
    lease_seconds: float,
    *,
    priorities: bool = False,
    limited: Mapping[str, float] = _NOTHING,
) -> Claims:
    """Return at most `most` jobs, which are the owner's for `lease_seconds`. Raises StoreError.

    `priorities`: not all that is queued has the same one; asking for that costs queries. `limited`: tenant → seconds for which its
    jobs are not to be claimed.
    Where that it failed is not known, the jobs' leases end without a result, and they are claimed again.
    """
    take = f"""UPDATE slicewise_jobs SET state = 'running', owner = %s, token = token + 1, attempts = attempts + 1,
 started_at = {NOW}, due_at = {after(lease_seconds)} WHERE seq IN ("""

    async def work(connection: AsyncConnection) -> Claims:
        rows: Sequence[Any]
        if priorities or limited:
            rows, more = await _turns(connection, pool, most, limited)
            rows = await _with_bodies(connection, await _by_priority(connection, pool, rows) if priorities else rows)
        else:
            rows = (await connection.execute(_CLAIM, {"pool": pool, "most": most})).all()
            more = len(rows) == most
        if not rows:
            return Claims([], more)
        await connection.exec_driver_sql(f"{take}{numbers(row[0] for row in rows)})", (owner,))
        jobs = [
            Claimed(seq, job_id, tenant, token + 1, attempts + 1, path, body, waited / 1e6)
            for seq, job_id, tenant, token, attempts, path, waited, body in rows
        ]
        return Claims(jobs, more)

    return await database.run(work)


_LIMITED: Final = "The gateway takes no more requests of this tenant for now."


async def _turns(
    connection: AsyncConnection, pool: str, most: int, limited: Mapping[str, float]
) -> tuple[list[Any], bool]:
    """Return the jobs whose turn is next, and whether there may be more. Jobs of limited tenants in front of them begin to wait.

    Left where they are, they would be read by each claim, and once the limit is over all of them would go before what others have sent
    meanwhile. Of each tenant few stand in front, because the ranks of tenants go side by side.
    """
    window = most + 2 * len(limited)
    rows = (await connection.execute(_TURNS, {"pool": pool, "most": window})).all()
    free = [place for place, row in enumerate(rows) if row.tenant not in limited][:most]
    full = len(rows) == window
    # Where there is nothing else, they need not be moved.
    front = rows[: free[-1]] if free else rows if full else []
    for tenant, seconds in limited.items():
        if seqs := [row.seq for row in front if row.tenant == tenant]:
            await connection.exec_driver_sql(
                f"""UPDATE slicewise_jobs SET state = 'waiting', last_error = '{_LIMITED}', due_at = {after(seconds)}
 WHERE seq IN ({numbers(seqs)})"""
            )
    return [rows[place] for place in free], bool(free) and (full or len(free) == most)


async def _by_priority(connection: AsyncConnection, pool: str, rows: Sequence[Any]) -> list[Any]:
    """Return the jobs that take the turns of `rows`: of each tenant as many. What does not run now takes their later turns."""
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
    return taken


async def _with_bodies(connection: AsyncConnection, rows: Sequence[Any]) -> list[Any]:
    if not rows:
        return []
    bodies = {row.id: row.body for row in await connection.execute(_BODIES, {"ids": [row.id for row in rows]})}
    return [(*row[:7], bodies[row.id]) for row in rows]


_SOME: Final = sql(
    f"""SELECT EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_claim) WHERE pool = :pool AND state = 'queued') AS queued,
 EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_due)
 WHERE pool = :pool AND state IN ('queued', 'waiting', 'running', 'done', 'error', 'cancelled', 'expired') AND due_at <= {NOW}) AS due,
 EXISTS (SELECT 1 FROM slicewise_jobs FORCE INDEX (slicewise_jobs_priority)
 WHERE pool = :pool AND state = 'queued' AND priority IN (0, 2)) AS prior,
 TIMESTAMPDIFF(MICROSECOND, {NOW}, (SELECT due_at FROM slicewise_jobs FORCE INDEX (slicewise_jobs_due)
 WHERE pool = :pool AND state = 'waiting' AND due_at > {NOW} ORDER BY due_at LIMIT 1)) AS due_in"""
)


@dataclass(frozen=True, slots=True)
class Looked:
    """What there is to do."""

    queued: bool
    due: bool
    """The state of a job has ended by itself."""
    priorities: bool
    """Some job that is queued has a priority of its own."""
    due_in: float | None
    """Seconds until the next wait ends; None where no job waits."""


async def look_for_work(database: Database, pool: str) -> Looked:
    """Return whether there is anything to do: the one query of an idle dispatcher. Raises StoreError."""

    async def work(connection: AsyncConnection) -> Looked:
        row = (await connection.execute(_SOME, {"pool": pool})).one()
        due_in = None if row.due_in is None else int(row.due_in) / 1_000_000
        return Looked(bool(row.queued), bool(row.due), bool(row.prior), due_in)

    return await database.run(work)
