"""The tables are brought to the next version under load: the programs of the version before go on, and the new ones take over."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path

import aiohttp
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, later
from jobs_rig.kills import serving
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, DispatcherProgram, Program
from jobs_rig.store import database_with_tables, make_job, url_file

from slicewise_jobs.decisions.server import SCHEMA
from slicewise_jobs.store.standing import describe
from slicewise_jobs.store.submit import submit

STORED = 3000
NEXT = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{SCHEMA + 1}", "{SCHEMA}"


def upgrade():
    op.add_column("slicewise_jobs", sa.Column("next_", sa.SmallInteger, nullable=False, server_default="1"))
    op.create_index("slicewise_jobs_next", "slicewise_jobs", ["pool", "state", "next_", "seq"])
"""
"""What a version usually adds: a column and an index, on the table that all requests use."""
PROGRAM = """
from alembic.config import Config
from slicewise_jobs.decisions import server

server.SCHEMA += 1

from slicewise_jobs.store import migrate


class Next(Config):
    def __init__(self):
        super().__init__()
        self.set_main_option("path_separator", "newline")
        self.set_main_option("version_locations", {folders!r})


migrate.Config = Next
from slicewise_jobs.__main__ import main

main()
"""


class Clients:
    """Clients that send jobs without a pause, each until it is acknowledged by the old or the new API, as a gateway would have it."""

    def __init__(self, old: Client, new: Client) -> None:
        self.old, self.new = old, new
        self.accepted: dict[str, str] = {}
        """Prompt → id."""
        self.by: Counter[Client] = Counter()
        self.stop = False

    async def send(self, name: str) -> None:
        number = 0
        while not self.stop:
            prompt = f"{name} {number}"
            for client in (self.old, self.new):
                if job_id := await self._post(client, prompt):
                    self.accepted[prompt] = job_id
                    self.by[client] += 1
                    number += 1
                    break
            await asyncio.sleep(0.02)

    async def _post(self, client: Client, prompt: str) -> str | None:
        with suppress(aiohttp.ClientError):
            status, body, headers = await client.call("POST", "/jobs", json={"prompt": prompt}, key=prompt)
            assert status == 202 or (status == 503 and int(headers["Retry-After"]) > 0), body
            return str(body["job_id"]) if status == 202 else None
        return None


async def test_an_upgrade_under_load_loses_nothing_and_refuses_with_retry_after_at_most(
    own_mariadb: MariaDb, tmp_path: Path, session: aiohttp.ClientSession, gateway: FakeGateway
) -> None:
    own_mariadb.start()
    gateway.answer = later(0.01, gateway.echo)
    async with database_with_tables(own_mariadb, tmp_path) as database:
        await submit(database, "another/pool", [make_job() for _ in range(STORED)])
        variables = {
            "DATABASE_URL_FILE": url_file(own_mariadb, tmp_path, database.address().database),
            "DATABASE_CA_FILE": own_mariadb.ca_file,
        }
        old, new = _pod(tmp_path, gateway, variables), _pod(tmp_path, gateway, variables)
        migration, again = (Program("migrate", tmp_path, **variables) for _ in range(2))
        for each in (*new, migration):
            each.program = _next_version(tmp_path)
        with _started(*old, *new):
            for each in old:
                await serving(each)
            # Before its migration the new version says what it lacks, and serves nothing.
            await serving(new[0], "healthz")
            await asyncio.to_thread(_lacks_tables, new[0])
            clients = Clients(Client(old[0].url, session), Client(new[0].url, session))
            sending = [asyncio.create_task(clients.send(name)) for name in "abcd"]
            await until(lambda: len(clients.accepted) > 20)
            migration.begin()
            await until(migration.ended, 120)
            assert migration.stop() == 0, migration.log()
            assert (await describe(database)).schema == SCHEMA + 1
            # The old version serves with the tables of the next one, also in a pod that starts now: after a drain, or a rollback.
            again.begin()
            await until(again.ended, 120)
            assert again.stop() == 0, again.log()
            before = len(clients.accepted)
            await until(lambda: len(clients.accepted) > before + 20)
            for each in new:
                await serving(each)
            for each in old:
                each.terminate()
            await until(lambda: clients.by[clients.new] > 20)
            clients.stop = True
            await asyncio.gather(*sending)
            await until(lambda: all(each.ended() for each in old), 60)
            assert [each.stop() for each in old] == [0, 0]
            for job_id in clients.accepted.values():
                assert (await clients.new.until(job_id, "done"))["attempts"] == 1
            assert gateway.asked == dict.fromkeys(clients.accepted, 1)


@contextmanager
def _started(*programs: Program) -> Iterator[None]:
    for each in programs:
        each.begin()
    try:
        yield
    finally:
        for each in programs:
            each.kill()


def _pod(folder: Path, gateway: FakeGateway, variables: dict[str, Path]) -> tuple[Api, DispatcherProgram]:
    address, authorities = variables.values()
    api = Api(folder, address, authorities)
    # Longer than an upgrade: what runs has one run.
    return api, DispatcherProgram(folder, api, gateway.url, address, authorities, LEASE_SECONDS=600)


def _next_version(folder: Path) -> list[str]:
    mine = folder / "versions"
    mine.mkdir(exist_ok=True)
    (mine / f"v{SCHEMA + 1:04}_next.py").write_text(NEXT)
    known = files("slicewise_jobs.store") / "migrations/versions"
    return ["-c", PROGRAM.format(folders=f"{known}\n{mine}")]


def _lacks_tables(api: Api) -> None:
    while api.standing()["reason"] != "SchemaOlder":
        assert not api.is_ready()
