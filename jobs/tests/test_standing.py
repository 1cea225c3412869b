"""Which servers jobs are trusted to, and what is said of the others; real servers with real settings."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from jobs_rig.client import until
from jobs_rig.mariadb import MariaDb
from jobs_rig.store import connect, create, database_with_tables, make_job
from sqlalchemy import text

from slicewise_jobs.decisions.server import SCHEMA, Finding, Server, Trouble, judge
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.migrate import migrate
from slicewise_jobs.store.standing import look, uptime
from slicewise_jobs.store.submit import submit
from slicewise_jobs.store.tables import metadata
from slicewise_jobs.store.trouble import StoreError
from slicewise_jobs.store.watch import Watch

GOOD = Server("10.11.6-MariaDB", 1, False, 0, 16 << 20, SCHEMA)


async def trouble_of(database: Database, body_bytes: int = 1 << 20, *, allow_loss: bool = False) -> Trouble | None:
    finding = await look(database, body_bytes=body_bytes, allow_loss=allow_loss)
    return finding.trouble if finding else None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, None),
        ({"version": "8.4.2"}, None),
        ({"version": "8.0.0-dmr"}, Trouble.VERSION_TOO_OLD),
        ({"version": "5.5.5-10.6.18-MariaDB-log"}, None),
        ({"version": "10.5.9-MariaDB"}, Trouble.VERSION_TOO_OLD),
        ({"version": "unknown"}, Trouble.VERSION_TOO_OLD),
        ({"flush_at_commit": 0}, Trouble.DURABILITY_OFF),
        ({"flush_at_commit": 2}, Trouble.DURABILITY_OFF),
        ({"binlog": True, "sync_binlog": 1}, None),
        ({"binlog": True, "sync_binlog": 0}, Trouble.DURABILITY_OFF),
        ({"max_packet_bytes": 1 << 20}, Trouble.PACKETS_TOO_SMALL),
        ({"schema": None}, Trouble.SCHEMA_OLDER),
        ({"schema": SCHEMA + 1}, None),
    ],
)
def test_a_server_that_would_lose_jobs_is_refused(change: dict[str, object], expected: Trouble | None) -> None:
    found = judge(replace(GOOD, **change), packet_bytes=2 << 20, allow_loss=False)  # type: ignore[arg-type]
    assert (found.trouble if found else None) == expected


async def test_a_real_server_is_judged_by_its_settings(own_mariadb: MariaDb, tmp_path: Path) -> None:
    own_mariadb.start()
    async with database_with_tables(own_mariadb, tmp_path) as database:
        assert await trouble_of(database) is None
        assert await trouble_of(database, 60 << 20) is Trouble.PACKETS_TOO_SMALL
        own_mariadb.stop()
        assert await trouble_of(database) is Trouble.DATABASE_AWAY
        own_mariadb.start("--innodb-flush-log-at-trx-commit=2")
        assert await trouble_of(database) is Trouble.DURABILITY_OFF
        assert await trouble_of(database, allow_loss=True) is None
        own_mariadb.stop()
        own_mariadb.start("--log-bin=binlog", "--sync-binlog=0")
        assert await trouble_of(database) is Trouble.DURABILITY_OFF
        own_mariadb.stop()
        own_mariadb.start("--read-only=1")
        await _without_super(database)
        with pytest.raises(StoreError) as refused:
            await submit(database, "p", [make_job()])
        assert refused.value.finding.trouble is Trouble.DATABASE_READ_ONLY


async def _without_super(database: Database) -> None:
    """Take the right away that writes in spite of `read_only`."""

    async def work(connection) -> None:
        await connection.execute(text("REVOKE READ_ONLY ADMIN ON *.* FROM jobs"))

    await database.run(work)
    await database.close()


async def test_an_empty_database_and_wrong_credentials_are_told_apart(mariadb: MariaDb, tmp_path: Path) -> None:
    await create(mariadb, tmp_path, "no_tables")
    database = connect(mariadb, tmp_path, "no_tables")
    assert await trouble_of(database) is Trouble.SCHEMA_OLDER
    await database.close()
    address = tmp_path / "no_tables.url"
    for text_of, expected in (
        (mariadb.url("no_tables").replace("secret", "wrong"), Trouble.CREDENTIALS_REFUSED),
        (mariadb.url("nowhere"), Trouble.CREDENTIALS_REFUSED),
        ("redis://somewhere", Trouble.ADDRESS_NOT_VALID),
        (mariadb.url("no_tables").replace("127.0.0.1", "localhost.invalid"), Trouble.DATABASE_AWAY),
    ):
        address.write_text(text_of)
        assert await trouble_of(database) is expected
    address.unlink()
    assert await trouble_of(database) is Trouble.SECRET_MISSING
    # Credentials that are rotated count from the next connection on, without a restart.
    address.write_text(mariadb.url("no_tables"))
    assert await trouble_of(database) is Trouble.SCHEMA_OLDER
    await database.close()


async def test_a_server_whose_certificate_is_not_known_gets_no_password(mariadb: MariaDb, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(mariadb.url("mysql"))
    unknown = Database(tmp_path / "url", None, connections=1, timeout_seconds=10)
    finding = await look(unknown, body_bytes=1024, allow_loss=False)
    assert finding is not None
    assert finding.trouble is Trouble.DATABASE_AWAY
    assert "certificate" in finding.message
    await unknown.close()
    without = Database(tmp_path / "url", tmp_path / "ca.crt", connections=1, timeout_seconds=10)
    finding = await look(without, body_bytes=1024, allow_loss=False)
    assert finding is not None
    assert "certificate" in finding.message, "a file that is not there stands for the system's authorities"
    await without.close()
    known = connect(mariadb, tmp_path, "mysql")
    ((_, cipher),) = await known.read("SHOW STATUS LIKE 'Ssl_cipher'")
    assert cipher
    await known.close()


async def test_a_server_that_does_not_answer_counts_as_away_after_the_time_limit(
    own_mariadb: MariaDb, tmp_path: Path
) -> None:
    own_mariadb.start()
    async with database_with_tables(own_mariadb, tmp_path) as made:
        name = made.address().database
    database = connect(own_mariadb, tmp_path, name, seconds=1)
    await is_good(database)
    own_mariadb.freeze(frozen=True)
    with pytest.raises(StoreError) as refused:
        await submit(database, "p", [make_job()])
    assert refused.value.finding.trouble is Trouble.DATABASE_AWAY
    own_mariadb.freeze(frozen=False)
    await is_good(database)
    await database.close()


async def is_good(database: Database) -> None:
    """Wait until nothing is wrong: on a busy machine a second is short."""
    deadline = time.monotonic() + 60
    while (trouble := await trouble_of(database)) is not None:
        assert time.monotonic() < deadline, trouble


async def test_a_program_that_starts_counts_an_outage_from_the_servers_start(database: Database) -> None:
    """Dispatchers that are killed every few seconds would never end a lease if each counted from its own."""
    for _ in range(200):
        if await uptime(database) >= 2:
            break
        await asyncio.sleep(0.05)
    watch, began = Watch(database, body_bytes=1024, allow_loss=False), time.monotonic()
    looking = asyncio.create_task(watch.run())
    await until(lambda: watch.answers_since < began)
    # Later on it counts what it has seen itself.
    noted = time.monotonic()
    watch.note(Finding(Trouble.DATABASE_AWAY, ""))
    await until(lambda: watch.finding is None)
    assert watch.answers_since >= noted
    looking.cancel()


async def test_migrations_make_the_tables_that_the_code_uses(mariadb: MariaDb, tmp_path: Path) -> None:
    await create(mariadb, tmp_path, "migrated")
    both = [connect(mariadb, tmp_path, "migrated") for _ in range(2)]
    # Two at a time, as when two releases are rolled out; then once more.
    await asyncio.gather(*(migrate(database) for database in both))
    await migrate(both[0])

    def differences(connection) -> list[object]:
        context = MigrationContext.configure(connection, opts={"version_table": "slicewise_jobs_version"})
        return list(compare_metadata(context, metadata))

    async with both[0].engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await trouble_of(both[0]) is None
    for database in both:
        await database.close()
