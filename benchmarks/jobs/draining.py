"""How fast empty jobs end, beside PgQueuer, and a consumer as one would write it first: claim one, ask, commit, one after the other."""

from __future__ import annotations

import asyncio
import statistics
import time

import aiohttp
from jobs_rig.store import POOL, make_job
from queues import drained_a_second
from report import Figure, Report, ratio_of_medians
from rig import Rig
from sqlalchemy import text

from slicewise_jobs.store.database import Database
from slicewise_jobs.store.submit import submit

_DISPATCHERS, _SLOTS = 2, 64
_NAIVE_JOBS = 400
_ROUNDS = 3


async def fill(database: Database, jobs: int) -> None:
    """Queue that many jobs."""
    for start in range(0, jobs, 500):
        await submit(database, POOL, [make_job() for _ in range(min(500, jobs - start))])


async def draining(report: Report, rig: Rig, jobs: int) -> None:
    """Measure all, in turn."""
    async with rig.database() as (database, _):
        await fill(database, _NAIVE_JOBS)
        naive = await _naive(database, rig.gateway)
    ours, peers = [], []
    for _ in range(_ROUNDS):
        ours.append(await _ours(rig, jobs))
        peers.append(await drained_a_second(rig.gateway, jobs, _DISPATCHERS, _SLOTS))
    rate = statistics.median(ours)
    note = f"{_DISPATCHERS} dispatchers with {_SLOTS} slots, {jobs} jobs, the time of their start left out; median of {_ROUNDS}"
    report.add(Figure("drained_a_second", rate, "/s", 3000, at_least=True, note=note))
    peer = "one connection, one job at a time, /s"
    report.add(Figure("drain_beside_naive", rate / naive, "x", 5, at_least=True, peer=peer, peer_value=naive))
    ratio, ci = ratio_of_medians(ours, peers)
    report.add(
        Figure(
            "drain_beside_pgqueuer",
            ratio,
            "x",
            1,
            at_least=True,
            ci=ci,
            peer="PgQueuer on PostgreSQL, /s",
            peer_value=statistics.median(peers),
            note="as many consumers and slots; it keeps no answers",
        )
    )


async def _ours(rig: Rig, jobs: int) -> float:
    async with rig.database() as (database, address):
        await fill(database, jobs)
        programs = [rig.dispatcher(None, address, SLOTS=_SLOTS) for _ in range(_DISPATCHERS)]
        start = time.perf_counter()
        for program in programs:
            program.begin()
        begun, rest = start, jobs
        try:
            while await _any(database):
                assert not any(program.ended() for program in programs), programs[0].log()
                if rest == jobs:
                    begun, rest = time.perf_counter(), await _open(database)
                await asyncio.sleep(0.1)
            ended = time.perf_counter()
        finally:
            for program in programs:
                await asyncio.to_thread(program.stop)
    return rest / (ended - begun)


_OPEN = f"FROM slicewise_jobs WHERE pool = '{POOL}' AND state IN ('queued', 'running', 'waiting')"


async def _open(database: Database) -> int:
    """Return how many jobs have not ended: this reads all of them, and so it is no question for the time that is measured."""
    (row,) = await database.read(f"SELECT COUNT(*) AS jobs {_OPEN}")
    return int(row.jobs)


async def _any(database: Database) -> bool:
    (row,) = await database.read(f"SELECT EXISTS (SELECT 1 {_OPEN}) AS jobs")
    return bool(row.jobs)


async def _naive(database: Database, gateway: str) -> float:
    pick = text(
        "SELECT seq, id, path FROM slicewise_jobs WHERE pool = :pool AND state = 'queued' ORDER BY rank_, seq LIMIT 1 FOR UPDATE"
    )
    body = text("SELECT body FROM slicewise_job_inputs WHERE id = :id")
    run = text("UPDATE slicewise_jobs SET state = 'running' WHERE seq = :seq")
    end = text("UPDATE slicewise_jobs SET state = 'done', finished_at = UTC_TIMESTAMP(6) WHERE seq = :seq")
    keep = text(
        "INSERT INTO slicewise_job_results (id, status, content_type, served_by, body)"
        " VALUES (:id, 200, 'application/json', '', :body)"
    )
    count, start = 0, time.perf_counter()
    async with aiohttp.ClientSession() as session, database.engine.connect() as connection:
        while row := (await connection.execute(pick, {"pool": POOL})).one_or_none():
            await connection.execute(run, {"seq": row.seq})
            asked = (await connection.execute(body, {"id": row.id})).scalar_one()
            await connection.commit()
            async with session.post(gateway + row.path, data=asked) as answer:
                said = await answer.read()
            await connection.execute(keep, {"id": row.id, "body": said})
            await connection.execute(end, {"seq": row.seq})
            await connection.commit()
            count += 1
    return count / (time.perf_counter() - start)
