"""How long an accepted job waits in an idle pool, by the database's clock, and what dispatchers ask of the database meanwhile."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime

import aiohttp
from jobs_rig.client import Client
from jobs_rig.programs import connected
from report import Figure, Report, percentile, percentile_interval
from rig import Rig

_IDLE_SECONDS = 20.0


async def starting(report: Report, rig: Rig, starts: int) -> None:
    """Send one job at a time, and wait for its end."""
    async with rig.database() as (database, address), aiohttp.ClientSession() as session:
        api = rig.api(address)
        dispatchers = [rig.dispatcher(api, address) for _ in range(2)]
        await asyncio.to_thread(api.start)
        try:
            for dispatcher in dispatchers:
                await asyncio.to_thread(dispatcher.start)
            await connected(api, len(dispatchers))
            client = Client(api.url, session)
            waits = [await _one(client) for _ in range(starts)]
            before = await _questions(database)
            await asyncio.sleep(_IDLE_SECONDS)
            asked = (await _questions(database) - before) / _IDLE_SECONDS / len(dispatchers)
        finally:
            for program in (*dispatchers, api):
                await asyncio.to_thread(program.stop)
    report.add(
        Figure(
            "start_p50",
            percentile(waits, 50),
            "ms",
            10,
            ci=percentile_interval(waits, 50),
            note=f"{starts} jobs one after the other; p99 {percentile(waits, 99):.1f} ms",
        )
    )
    report.add(
        Figure("idle_queries", asked, "/s a dispatcher", 1, note="statements of all kinds; those of the API are in it")
    )


async def _one(client: Client) -> float:
    job = await client.add("once")
    end = time.monotonic() + 30
    while (seen := await client.get(job))["status"] != "done":
        assert time.monotonic() < end, seen
        await asyncio.sleep(0.02)
    return (_read(seen["started_at"]) - _read(seen["created_at"])) * 1000


def _read(at: str) -> float:
    return datetime.fromisoformat(at).timestamp()


async def _questions(database) -> int:
    (row,) = await database.read("SHOW GLOBAL STATUS LIKE 'Com_select'")
    return int(row[1])
