"""What a claim costs with a long queue, beside the same with a short one."""

from __future__ import annotations

import time

from draining import fill
from jobs_rig.store import POOL, make_job, take
from report import Figure, Report, ratio_of_medians
from rig import Rig
from sqlalchemy import text

from slicewise_jobs.store.database import Database
from slicewise_jobs.store.submit import submit

_SHORT = 1000
_CLAIMS = 60


async def claiming(report: Report, rig: Rig, queued: int) -> None:
    """Measure claims of eight jobs, first with 1,000 in the queue."""
    async with rig.database() as (short, _), rig.database() as (long, _):
        await fill(short, _SHORT)
        await _fill_fast(long, queued)
        ours: list[float] = []
        peers: list[float] = []
        for _ in range(_CLAIMS):
            peers.append(await _claim(short))
            ours.append(await _claim(long))
            await submit(short, POOL, [make_job() for _ in range(8)])
    value, ci = ratio_of_medians(ours, peers)
    report.add(
        Figure(
            "claim_with_a_long_queue",
            value,
            "x",
            1.2,
            ci=ci,
            peer=f"{_SHORT} jobs, seconds",
            peer_value=sorted(peers)[len(peers) // 2],
            note=f"{queued} jobs",
        )
    )


async def _claim(database: Database) -> float:
    start = time.perf_counter()
    claimed = await take(database, 8)
    assert len(claimed) == 8
    return time.perf_counter() - start


async def _fill_fast(database: Database, jobs: int) -> None:
    """Queue that many jobs, by doubling what is there."""
    await fill(database, 1000)
    columns = "pool, tenant, state, path, body_bytes, body_hash, created_at, priority"
    async with database.engine.connect() as connection:
        count = 1000
        while count < jobs:
            most = min(count, jobs - count, 50_000)
            await connection.execute(
                text(
                    f"INSERT INTO slicewise_jobs (id, rank_, {columns})"
                    f" SELECT RANDOM_BYTES(16), rank_ + {count} * 1000000, {columns} FROM slicewise_jobs ORDER BY seq LIMIT {most}"
                )
            )
            await connection.commit()
            count += most
