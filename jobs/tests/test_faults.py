"""Faults that are no deaths: a full database, a frozen one, a wrong clock, connections that are all in use."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import aiohttp
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, DispatcherProgram, available, ready
from jobs_rig.store import database_with_tables, url_file

SMALL = ("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:20M")
SHIFTED = "import time; real = time.time; time.time = lambda: real() + {seconds}; from slicewise_jobs.__main__ import main; main()"
"""The program with another wall clock."""


async def test_a_full_database_acknowledges_nothing_and_shows_what_it_has(
    own_mariadb: MariaDb, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    own_mariadb.start(*SMALL)
    async with database_with_tables(own_mariadb, tmp_path) as database:
        api = Api(tmp_path, url_file(own_mariadb, tmp_path, database.address().database), own_mariadb.ca_file)
        await ready(api)
        client = Client(api.url, session)
        accepted: list[str] = []
        for _ in range(400):
            status, body, headers = await client.call("POST", "/jobs", json={"prompt": "x" * 60_000})
            if status != 202:
                break
            accepted.append(body["job_id"])
        assert (status, body["error"]["code"]) == (503, "database_full")
        assert headers["Retry-After"]
        stored = await database.read("SELECT id FROM slicewise_jobs")
        assert {f"job_{row.id.hex()}" for row in stored} == set(accepted)
        assert len(accepted) > 10
        inputs = await database.read("SELECT COUNT(*) FROM slicewise_job_inputs")
        assert inputs[0][0] == len(accepted)
        assert (await client.get(accepted[-1]))["status"] == "queued"
        await asyncio.to_thread(api.kill)


async def test_a_frozen_database_answers_503_within_the_time_limit_and_serves_when_it_goes_on(
    own_mariadb: MariaDb, tmp_path: Path, session: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    own_mariadb.start()
    async with database_with_tables(own_mariadb, tmp_path) as database:
        address = url_file(own_mariadb, tmp_path, database.address().database)
        api = Api(tmp_path, address, own_mariadb.ca_file, DATABASE_TIMEOUT_SECONDS=1)
        dispatcher = DispatcherProgram(tmp_path, api, gateway.url, address, own_mariadb.ca_file)
        await ready(api)
        await ready(dispatcher)
        client = Client(api.url, session)
        own_mariadb.freeze(frozen=True)
        answers = await asyncio.gather(*(client.call("POST", "/jobs", json={"prompt": "x"}) for _ in range(30)))
        # By now it is known to be away, and no request waits for it.
        assert (await asyncio.to_thread(api.standing))["reason"] == "DatabaseAway"
        answers += [await client.call("GET", "/jobs") for _ in range(30)]
        assert {status for status, _, _ in answers} == {503}
        own_mariadb.freeze(frozen=False)
        await available(api)
        await client.until(await client.add("after"), "done")
        # What was not acknowledged may have been stored all the same; it is run like any other.
        for program in (api, dispatcher):
            await asyncio.to_thread(program.kill)


async def test_a_dispatchers_clock_has_no_say(
    shared_api: Api,
    start_dispatcher: Callable[..., DispatcherProgram],
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
) -> None:
    """Two of them, ten minutes before and behind: each renews its leases, and neither takes the other's jobs."""
    for seconds in (-600, 600):
        dispatcher = start_dispatcher(shared_api, SLOTS=2, LEASE_SECONDS=6)
        dispatcher.program = ["-c", SHIFTED.format(seconds=seconds)]
        await ready(dispatcher)
    client = Client(shared_api.url, session)
    # Longer than a lease.
    gateway.answer = later(7, gateway.echo)
    ids = [await client.add(f"job {number}") for number in range(4)]
    await until(lambda: gateway.now == 4)
    for job_id in ids:
        assert (await client.until(job_id, "done"))["attempts"] == 1
    assert set(gateway.asked.values()) == {1}


async def test_requests_wait_for_a_connection_when_all_are_in_use(
    start_api: Callable[..., Api], session: aiohttp.ClientSession
) -> None:
    client = Client(start_api(DATABASE_CONNECTIONS=1).url, session)
    ids = await asyncio.gather(*(client.add(f"job {number}") for number in range(50)))
    shown = await asyncio.gather(*(client.get(job_id) for job_id in ids), *(client.call("GET", "/jobs") for _ in ids))
    assert len(shown) == 100
