"""A replica becomes the primary: two real servers, the second one without what the first one did last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.client import Client
from jobs_rig.gateway import FakeGateway
from jobs_rig.mariadb import MariaDb
from jobs_rig.product import PASSWORD
from jobs_rig.programs import Api, DispatcherProgram, available, ready
from jobs_rig.store import connect, database_with_tables
from sqlalchemy import text

from slicewise_jobs.store.database import Database

SEMI_SYNC = (
    "--rpl-semi-sync-master-enabled=1",
    "--rpl-semi-sync-master-timeout=3600000",
    "--rpl-semi-sync-master-wait-point=AFTER_SYNC",
)
"""With a timeout of an hour a commit never goes on without the replica."""


class Pair:
    """A primary and its replica, and the two programs, which know the primary by a file that a test can change."""

    def __init__(self, folder: Path, gateway: str, **variables: object) -> None:
        self.servers = []
        for name in ("primary", "replica"):
            (folder / name).mkdir()
            self.servers.append(MariaDb(folder / name))
        self.primary, self.replica = self.servers
        self.address = folder / "address"
        authorities = folder / "ca.crt"
        authorities.write_text("".join(server.ca_file.read_text() for server in self.servers))
        self.api = Api(folder, self.address, authorities, **variables)
        self.dispatcher = DispatcherProgram(folder, self.api, gateway, self.address, authorities)
        self._folder = folder
        self.name = ""

    async def start(self, primary: tuple[str, ...] = (), replica: tuple[str, ...] = ()) -> None:
        """Start the servers, with the tables on both."""
        for server, number, options in ((self.primary, 1, primary), (self.replica, 2, replica)):
            logs = (f"--server-id={number}", "--log-bin=binlog", "--sync-binlog=1", "--log-slave-updates=1")
            server.start(*logs, *options)
        given = f"MASTER_HOST='127.0.0.1', MASTER_PORT={self.primary.port}, MASTER_USER='jobs', MASTER_PASSWORD='{PASSWORD}'"
        await self.say(self.replica, f"CHANGE MASTER TO {given}, MASTER_USE_GTID=slave_pos", "START SLAVE")
        async with database_with_tables(self.primary, self._folder) as made:
            self.name = made.address().database
        self.address.write_text(self.primary.url(self.name))

    def at(self, server: MariaDb, name: str = "mysql") -> Database:
        return connect(server, server.place, name)

    async def say(self, server: MariaDb, *statements: str) -> None:
        database = self.at(server)
        async with database.engine.connect() as connection:
            for statement in statements:
                await connection.execute(text(statement))
        await database.close()

    async def catch_up(self) -> None:
        """Wait until the replica has all that the primary has done so far."""
        primary, replica = self.at(self.primary), self.at(self.replica)
        ((place,),) = await primary.read("SELECT @@gtid_binlog_pos")
        ((late,),) = await replica.read(f"SELECT MASTER_GTID_WAIT('{place}', 60)")
        assert late == 0
        for database in (primary, replica):
            await database.close()

    async def promote(self) -> None:
        """Kill the primary; the replica becomes it once it has done all that came to it, and the name leads there."""
        self.primary.kill()
        replica = self.at(self.replica)
        (row,) = await replica.read("SHOW SLAVE STATUS")
        ((late,),) = await replica.read(f"SELECT MASTER_GTID_WAIT('{row.Gtid_IO_Pos}', 60)")
        assert late == 0
        await replica.close()
        await self.say(self.replica, "STOP SLAVE", "RESET SLAVE ALL")
        self.address.write_text(self.replica.url(self.name))


@pytest.fixture
async def pair(tmp_path: Path, gateway: FakeGateway, request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    found = Pair(tmp_path, gateway.url, **getattr(request, "param", {}))
    yield found
    for program in (found.api, found.dispatcher):
        if not program.ended():
            await asyncio.to_thread(program.kill)
    for server in found.servers:
        server.kill()


async def test_a_replica_without_the_last_second_lacks_what_was_accepted_in_it_and_nothing_else(
    pair: Pair, gateway: FakeGateway, session: aiohttp.ClientSession
) -> None:
    await pair.start()
    await ready(pair.api)
    client = Client(pair.api.url, session)
    kept = [await client.add(f"kept {number}", key=f"kept {number}") for number in range(3)]
    await pair.catch_up()
    await pair.say(pair.replica, "STOP SLAVE")
    lost = await client.add("lost", key="lost")
    # What is done in the last second is undone with it, too: it runs again.
    await ready(pair.dispatcher)
    for job_id in (*kept, lost):
        await client.until(job_id, "done")
    await pair.promote()
    await available(pair.api)
    await available(pair.dispatcher)
    for job_id in kept:
        assert (await client.until(job_id, "done"))["attempts"] == 1
    assert {gateway.asked[f"kept {number}"] for number in range(3)} == {2}
    assert (await client.call("GET", f"/jobs/{lost}"))[0] == 404
    # A client that sends its job again with the key gets a new one, and those that were kept are the same as before.
    again = await client.add("lost", key="lost")
    assert again != lost
    assert (await client.until(again, "done"))["attempts"] == 1
    assert await client.add("kept 0", key="kept 0") == kept[0]


# A commit that waits for the replica ends with it.
@pytest.mark.parametrize("pair", [{"DATABASE_TIMEOUT_SECONDS": 2}], indirect=True)
async def test_with_semi_synchronous_replication_nothing_is_acknowledged_that_the_replica_lacks(
    pair: Pair, session: aiohttp.ClientSession
) -> None:
    await pair.start(SEMI_SYNC, ("--rpl-semi-sync-slave-enabled=1",))
    await ready(pair.api)
    client = Client(pair.api.url, session, patient=True)
    acknowledged = [await client.add(f"job {number}") for number in range(5)]
    # From here on the replica gets nothing more.
    await pair.say(pair.replica, "STOP SLAVE IO_THREAD")
    for _ in range(3):
        with suppress(aiohttp.ClientError):
            status, body, headers = await client.call("POST", "/jobs", json={"prompt": "x"})
            assert (status, int(headers["Retry-After"]) > 0) == (503, True), body
    await pair.promote()
    await available(pair.api)
    for job_id in acknowledged:
        assert (await client.get(job_id))["status"] == "queued"
    await client.add("after")
