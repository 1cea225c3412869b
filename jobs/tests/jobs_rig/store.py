"""Databases of tests, and jobs to put into them."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import text

from jobs_rig.mariadb import MariaDb
from slicewise_jobs.store.claim import Claimed, claim
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.migrate import migrate
from slicewise_jobs.store.settle import Result, Settlement
from slicewise_jobs.store.submit import NewJob

POOL = "default/chat"
LEASE = 30.0
KEPT = 3600.0


def url_file(server: MariaDb, folder: Path, name: str) -> Path:
    """Return a file with the address of a database, as a mounted Secret would have it."""
    path = folder / f"{name}.url"
    path.write_text(server.url(name) + "\n")
    return path


def connect(server: MariaDb, folder: Path, name: str, seconds: float = 20) -> Database:
    """Return a client of a database that may not be there yet."""
    return Database(url_file(server, folder, name), server.ca_file, connections=8, timeout_seconds=seconds)


async def create(server: MariaDb, folder: Path, name: str) -> None:
    """Make an empty database."""
    system = connect(server, folder, "mysql")
    async with system.engine.connect() as connection:
        await connection.execute(text(f"CREATE DATABASE {name}"))
    await system.close()


@asynccontextmanager
async def database_with_tables(server: MariaDb, folder: Path, seconds: float = 20) -> AsyncIterator[Database]:
    """A database of its own, with the tables."""
    name = f"jobs_{secrets.token_hex(4)}"
    await create(server, folder, name)
    database = connect(server, folder, name, seconds)
    await migrate(database)
    yield database
    await database.close()


@asynccontextmanager
async def locked(server: MariaDb, folder: Path, name: str, table: str) -> AsyncIterator[None]:
    """A table of a database that nothing else can read or write until the block is left, however it is left.

    The connection is the lock's own and is closed: one that went back to a pool with the lock would keep all later tests waiting.
    """
    holder = connect(server, folder, name)
    try:
        async with holder.engine.connect() as connection:
            # By default a lock on a table is waited for for a day.
            await connection.execute(text("SET SESSION lock_wait_timeout = 30"))
            await connection.execute(text(f"LOCK TABLES {table} WRITE"))
            try:
                yield
            finally:
                await connection.execute(text("UNLOCK TABLES"))
    finally:
        await holder.close()


def make_job(tenant: str = "acme", body: bytes = b'{"messages": []}', **more: object) -> NewJob:
    """Return a job as a client would send it."""
    values: dict[str, object] = {
        "id": secrets.token_bytes(16),
        "tenant": tenant,
        "path": "/v1/chat/completions",
        "body": body,
        "body_hash": hashlib.sha256(body).digest(),
        **more,
    }
    return NewJob(**values)  # type: ignore[arg-type]


def done(job: Claimed, body: bytes = b"{}") -> Settlement:
    """Return that a claimed job has an answer."""
    from slicewise_jobs.decisions.states import State

    return Settlement(job.seq, job.id, job.token, State.DONE, Result(200, "application/json", "", body))


async def take(
    database: Database, most: int = 1, owner: str = "one", lease: float = LEASE, **more: Any
) -> list[Claimed]:
    """Claim jobs of the pool."""
    return (await claim(database, POOL, owner, most, lease, **more)).jobs


async def let_leases_end(database: Database) -> None:
    """Put the end of everything that has one into the past, as if that much time had passed."""

    async def work(connection):
        await connection.execute(text("UPDATE slicewise_jobs SET due_at = due_at - INTERVAL 1 DAY"))

    await database.run(work)


async def empty(database: Database) -> None:
    """Delete all jobs."""

    async def work(connection):
        for table in ("jobs", "job_inputs", "job_results", "batches", "batch_lines", "files", "file_chunks"):
            await connection.execute(text(f"DELETE FROM slicewise_{table}"))

    await database.run(work)


async def let_batches_expire(database: Database) -> None:
    """Put the end of every batch's window into the past."""

    async def work(connection):
        await connection.execute(text("UPDATE slicewise_batches SET expires_at = expires_at - INTERVAL 40 DAY"))

    await database.run(work)
