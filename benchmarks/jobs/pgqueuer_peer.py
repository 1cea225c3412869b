"""PgQueuer as a user would run it, in an environment of its own (`locks/bench-pgqueuer.txt`).

    python pgqueuer_peer.py fill URL JOBS
    python pgqueuer_peer.py drain URL GATEWAY SLOTS    > {"jobs": N, "first": …, "last": …}, the seconds when jobs began and ended

A job is a request to the gateway, as a job of ours is. PgQueuer keeps no answers, so it writes less.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

import aiohttp
import asyncpg
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.qm import QueueManager
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

BODY = b'{"messages": []}'


async def fill(url: str, jobs: int) -> None:
    """Make the tables, and queue that many jobs."""
    async with asyncpg.create_pool(url, min_size=1, max_size=2) as pool:
        queries = Queries(AsyncpgPoolDriver(pool))
        await queries.install()
        for start in range(0, jobs, 1000):
            count = min(1000, jobs - start)
            await queries.enqueue(["ask"] * count, [BODY] * count, [0] * count)


async def drain(url: str, gateway: str, slots: int) -> None:
    """Run jobs until the queue is empty."""
    async with (
        asyncpg.create_pool(url, min_size=2, max_size=5) as pool,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):
        began: list[float] = []
        manager = QueueManager(Queries(AsyncpgPoolDriver(pool)))

        @manager.entrypoint("ask")
        async def ask(job: Job) -> None:
            began.append(time.time())
            headers = {"Content-Type": "application/json"}
            async with session.post(f"{gateway}/v1/chat/completions", data=job.payload, headers=headers) as answer:
                await answer.read()
                assert answer.status == 200

        await manager.run(batch_size=slots // 2, max_concurrent_tasks=slots, mode=QueueExecutionMode.drain)
        print(json.dumps({"jobs": len(began), "first": min(began), "last": time.time()}))


if __name__ == "__main__":
    command, *arguments = sys.argv[1:]
    if command == "fill":
        asyncio.run(fill(arguments[0], int(arguments[1])))
    else:
        asyncio.run(drain(arguments[0], arguments[1], int(arguments[2])))
