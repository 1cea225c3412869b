"""Fixtures of the tests of jobs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from jobs_rig.mariadb import MariaDb
from jobs_rig.store import connect, database_with_tables, empty

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
