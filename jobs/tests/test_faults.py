"""Faults that are no deaths: a database that is full, frozen or far away, a wrong clock, connections that are stuck or cut."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from operator import gt
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway
from jobs_rig.mariadb import MariaDb
from jobs_rig.network import Network, network
from jobs_rig.programs import SHORT_LEASES, Api, DispatcherProgram, available, ready
from jobs_rig.store import database_with_tables, locked, url_file

from slicewise_jobs.store.database import Database


class Through:
    """An API and a dispatcher with a network of their own to the database."""

    def __init__(self, network: Network, database: Database, api: Api) -> None:
        self.network = network
        self.database = database
        self.api = api

    async def cut(self, times: int) -> None:
        """Cut the network each time that some more has passed."""
        for turn in range(times):
            seen = self.network.passed
            await until(lambda: self.network.passed > seen + 20 + turn)  # noqa: B023 - awaited here
            self.network.cut()


@pytest.fixture
async def through(
    mariadb: MariaDb,
    tables: str,
    database: Database,
    tmp_path: Path,
    gateway: FakeGateway,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Through]:
    async with network(mariadb.port) as found:
        address = tmp_path / "through"
        address.write_text(mariadb.url(tables).replace(f":{mariadb.port}/", f":{found.port}/"))
        api = Api(tmp_path, address, mariadb.ca_file)
        # The network runs in this loop, and so nothing may wait for the programs in it.
        given = {"MAX_ATTEMPTS": 100, **getattr(request, "param", {})}
        programs = [api, DispatcherProgram(tmp_path, api, gateway.url, address, mariadb.ca_file, **given)]
        try:
            for program in programs:
                await ready(program)
            yield Through(found, database, api)
        finally:
            for program in programs:
                await asyncio.to_thread(program.kill)


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
        for _ in range(20):
            # Before the API has looked again, and after.
            assert (await client.get(accepted[-1]))["status"] == "queued"
            status, body, _ = await client.call("GET", "/jobs?limit=1")
            assert (status, body["data"][0]["job_id"]) == (200, accepted[-1])
            status, body, _ = await client.call("POST", "/jobs", json={"prompt": "x" * 60_000})
            assert (status, body["error"]["code"]) == (503, "database_full")
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
        client = Client(api.url, session, patient=True)
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


async def leases(database: Database) -> list[datetime]:
    """Return when the lease of each of four jobs that run ends, by the database's clock."""
    rows = await database.read("SELECT due_at FROM slicewise_jobs WHERE state = 'running' ORDER BY seq")
    assert len(rows) == 4
    return [row.due_at for row in rows]


async def test_a_dispatchers_clock_has_no_say(
    shared_api: Api,
    start_dispatcher: Callable[..., DispatcherProgram],
    gateway: FakeGateway,
    session: aiohttp.ClientSession,
    database: Database,
) -> None:
    """Two of them, ten minutes before and behind: each renews its leases, and neither takes the other's jobs."""
    for seconds in (-600, 600):
        dispatcher = start_dispatcher(shared_api, SLOTS=2)
        dispatcher.program = ["-c", SHIFTED.format(seconds=seconds)]
        await ready(dispatcher)
    client = Client(shared_api.url, session)
    go_on = asyncio.Event()

    async def answer(request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        await go_on.wait()
        return await gateway.echo(request, body)

    gateway.answer = answer
    ids = [await client.add(f"job {number}") for number in range(4)]
    await until(lambda: gateway.now == 4)
    # By a clock that is ten minutes off, a lease of a minute would be over for one of them at each look, and there are several.
    for _ in range(3):
        before = await leases(database)
        while not all(map(gt, await leases(database), before)):  # noqa: ASYNC110 - the dispatchers renew them
            await asyncio.sleep(0.05)
    go_on.set()
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


@pytest.mark.timeout(200)
async def test_with_all_connections_stuck_requests_get_503_and_later_all_is_well(
    start_api: Callable[..., Api], mariadb: MariaDb, tables: str, tmp_path: Path, session: aiohttp.ClientSession
) -> None:
    """The table is locked, as by a dump without `--single-transaction`: both connections wait, and nothing else gets one."""
    api = start_api(DATABASE_CONNECTIONS=2, DATABASE_TIMEOUT_SECONDS=2)
    client = Client(api.url, session, patient=True)
    before = await client.add("before")

    async def ask_and_send(times: int) -> list[tuple[int, dict[str, Any], dict[str, str]]]:
        asked = [client.call("GET", f"/jobs/{before}") for _ in range(times)]
        sent = [client.call("POST", "/jobs", json={"prompt": "x"}) for _ in range(times)]
        return await asyncio.gather(*asked, *sent)

    async with locked(mariadb, tmp_path, tables, "slicewise_jobs"):
        for status, body, headers in await ask_and_send(30):
            assert (status, "Retry-After" in headers) == (503, True), body
            assert body["error"]["code"] == "database_away"
    # What was refused last may have been seen to fail a moment ago: clients come again then, and so does this one.
    deadline = time.monotonic() + 60
    shown, sent = await ask_and_send(1)
    while (shown[0], sent[0]) != (200, 202):
        assert time.monotonic() < deadline, (shown, sent)
        await asyncio.sleep(0.1)
        shown, sent = await ask_and_send(1)
    assert shown[1]["status"] == "queued"
    await available(api)


async def test_a_slow_network_to_the_database_slows_jobs_down_and_no_more(
    through: Through, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    client = Client(through.api.url, session)
    through.network.delay = 0.02
    ids = await asyncio.gather(*(client.add(f"job {number}") for number in range(20)))
    for job_id in ids:
        assert (await client.until(job_id, "done", seconds=60))["attempts"] == 1
    assert set(gateway.asked.values()) == {1}


@pytest.mark.parametrize("through", [SHORT_LEASES], indirect=True)
async def test_a_network_that_breaks_again_and_again_loses_nothing_and_stores_nothing_twice(
    through: Through, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    """Twenty cuts, at any moment of a transaction: what was acknowledged is there once, also where a commit's answer was lost."""
    client = Client(through.api.url, session)
    accepted: dict[str, str] = {}
    cutting = asyncio.create_task(through.cut(20))

    async def send(name: str) -> None:
        number = 0
        while not cutting.done() or number < 20:
            prompt = f"{name} {number}"
            status, body, headers = await client.call("POST", "/jobs", json={"prompt": prompt}, key=prompt)
            assert status == 202 or (status == 503 and headers["Retry-After"]), body
            if status == 202:
                accepted[prompt] = body["job_id"]
                number += 1
            await asyncio.sleep(0.02)

    await asyncio.gather(*(send(name) for name in "abcd"))
    await cutting
    await available(through.api)
    for job_id in accepted.values():
        assert (await client.until(job_id, "done", seconds=60))["status"] == "done"
    # A claim whose commit was not heard of ends with its lease, which is never renewed: that costs a run, not a result.
    assert gateway.asked.keys() == accepted.keys()
    counted = await through.database.read("SELECT COUNT(*) FROM slicewise_jobs")
    assert counted[0][0] == len(accepted)
