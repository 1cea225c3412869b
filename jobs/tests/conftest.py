"""Fixtures of the tests of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import patient_properties  # noqa: F401 - imported for what it does
import pytest
from jobs_rig.gateway import FakeGateway
from jobs_rig.kills import Rig
from jobs_rig.mariadb import MariaDb
from jobs_rig.openai_client import client_of
from jobs_rig.programs import Api, DispatcherProgram
from jobs_rig.store import connect, database_with_tables, empty, url_file
from openai import AsyncOpenAI

from slicewise_jobs.store.database import Database


@pytest.fixture(scope="session")
def mariadb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MariaDb]:
    """A server for tests that leave it as it is; each takes a database of its own."""
    server = MariaDb(tmp_path_factory.mktemp("mariadb"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def own_mariadb(tmp_path: Path) -> Iterator[MariaDb]:
    """A server that a test may kill; it starts it with the options that it wants."""
    place = tmp_path / "mariadb"
    place.mkdir()
    server = MariaDb(place)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def tables(mariadb: MariaDb, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a database with the tables, which tests share one after the other."""
    folder = tmp_path_factory.mktemp("tables")

    async def make() -> str:
        async with database_with_tables(mariadb, folder) as made:
            return made.address().database

    return asyncio.run(make())


@pytest.fixture
async def database(mariadb: MariaDb, tables: str, tmp_path: Path) -> AsyncIterator[Database]:
    """A database without any job."""
    found = connect(mariadb, tmp_path, tables)
    await empty(found)
    yield found
    await found.close()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """For clients of the API."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=120)) as found:
        yield found
    await asyncio.sleep(0.01)


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    """What jobs are sent to."""
    fake = FakeGateway()
    await fake.start()
    yield fake
    await fake.stop()


@pytest.fixture
def start_api(mariadb: MariaDb, tables: str, database: Database, tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start an API on the shared server, with an empty database."""
    started: list[Api] = []

    def start(**variables: object) -> Api:
        api = Api(tmp_path, url_file(mariadb, tmp_path, tables), mariadb.ca_file, **variables)
        started.append(api)
        api.start()
        return api

    yield start
    for api in started:
        api.stop()


@pytest.fixture
def start_dispatcher(
    mariadb: MariaDb, tables: str, database: Database, tmp_path: Path, gateway: FakeGateway
) -> Iterator[Callable[..., DispatcherProgram]]:
    """Start a dispatcher that runs jobs on the gateway of the test."""
    started: list[DispatcherProgram] = []

    def start(api: Api | None, **variables: object) -> DispatcherProgram:
        address = url_file(mariadb, tmp_path, tables)
        dispatcher = DispatcherProgram(tmp_path, api, gateway.url, address, mariadb.ca_file, **variables)
        started.append(dispatcher)
        return dispatcher

    yield start
    for dispatcher in started:
        dispatcher.kill() if not dispatcher.ended() else None


@pytest.fixture
async def rig(
    own_mariadb: MariaDb, tmp_path: Path, gateway: FakeGateway, request: pytest.FixtureRequest
) -> AsyncIterator[Rig]:
    # The main thread lives as long as the server shall.
    own_mariadb.start()
    async with database_with_tables(own_mariadb, tmp_path) as made:
        name = made.address().database
    found = Rig(own_mariadb, tmp_path, name, gateway.url, **getattr(request, "param", {}))
    await found.start()
    yield found
    await found.stop()


@pytest.fixture
async def openai_of() -> AsyncIterator[Callable[..., AsyncOpenAI]]:
    """Make clients of an API for a tenant."""
    made: list[AsyncOpenAI] = []

    def make(api: Api, tenant: str = "acme") -> AsyncOpenAI:
        made.append(client_of(api, tenant))
        return made[-1]

    yield make
    for client in made:
        await client.close()
    await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def shared_api(mariadb: MariaDb, tables: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An API for tests that leave no job behind."""
    folder = tmp_path_factory.mktemp("shared-api")
    api = Api(folder, url_file(mariadb, folder, tables), mariadb.ca_file, MAX_BODY_BYTES=65536)
    api.start()
    yield api
    api.stop()
