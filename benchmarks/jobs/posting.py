"""How long a POST takes beside the disk's fsync, and how many there are a second beside a loop that commits one by one."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path

from floors import fsync_times
from jobs_rig.store import make_job
from report import Figure, Report, percentile, percentile_interval
from rig import Rig
from sqlalchemy import text

from slicewise_jobs.store.database import Database

_CLIENT = Path(__file__).with_name("client.py")
_CONNECTIONS = 64
_RATE, _STEADY = 50.0, 10


async def posting(report: Report, rig: Rig, seconds: float) -> None:
    """Measure POSTs at 50 a second, then as many as 64 clients get through."""
    async with rig.database() as (database, address):
        api = rig.api(address, MAX_BACKLOG_JOBS=10_000_000)
        await asyncio.to_thread(api.start)
        try:
            disk = percentile(
                await asyncio.to_thread(fsync_times, rig.folder, round(seconds * _RATE), 512, 1 / _RATE), 99
            )
            took, _ = await _clients(api.port, _STEADY, seconds, _STEADY / _RATE)
            goal = max(10.0, 2.5 * disk + 2)
            value, ci = percentile(took, 99) * 1000, percentile_interval(took, 99)
            report.add(
                Figure(
                    "post_p99",
                    value,
                    "ms",
                    goal,
                    peer="fsync p99, ms",
                    peer_value=disk,
                    ci=(ci[0] * 1000, ci[1] * 1000),
                    note=f"{_RATE:.0f} a second; p50 {percentile(took, 50) * 1000:.2f} ms",
                )
            )
            took, failed = await _clients(api.port, _CONNECTIONS, seconds, 0)
            rate = len(took) / seconds
            note = f"{_CONNECTIONS} clients, one API; p99 {percentile(took, 99) * 1000:.1f} ms; {failed} failed"
            report.add(Figure("posts_a_second", rate, "/s", 1000, at_least=True, note=note))
            floor = await _one_by_one(database, seconds / 2)
            report.add(
                Figure(
                    "posts_beside_one_by_one",
                    rate / floor,
                    "x",
                    8,
                    at_least=True,
                    peer="one connection, a commit each, /s",
                    peer_value=floor,
                    note=f"the goal is for fsync ≥ 2 ms; here p99 {disk:.2f} ms",
                )
            )
        finally:
            await asyncio.to_thread(api.stop)


async def _clients(port: int, connections: int, seconds: float, pause: float) -> tuple[list[float], int]:
    arguments = [str(value) for value in (port, connections, seconds, pause)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(_CLIENT), *arguments, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, "the clients failed"
    found = json.loads(out)
    return found["seconds"], found["failed"]


async def _one_by_one(database: Database, seconds: float) -> float:
    """Return how many rows a second one connection inserts, with a commit each."""
    add = text(
        "INSERT INTO slicewise_jobs (id, pool, tenant, state, rank_, path, body_bytes, body_hash, created_at)"
        " VALUES (:id, 'default/floor', '', 'queued', :rank, '/v1/chat/completions', :bytes, :hash, UTC_TIMESTAMP(6))"
    )
    body = text("INSERT INTO slicewise_job_inputs (id, body) VALUES (:id, :body)")
    count, end = 0, time.perf_counter() + seconds
    async with database.engine.connect() as connection:
        while time.perf_counter() < end:
            job = make_job(body=b"x" * 300)
            row = {"id": job.id, "rank": count, "bytes": len(job.body), "hash": job.body_hash}
            await connection.execute(add, row)
            await connection.execute(body, {"id": job.id, "body": job.body})
            await connection.commit()
            count += 1
    return count / seconds
