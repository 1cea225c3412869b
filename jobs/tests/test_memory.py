"""A large file from its upload to the answers of its batch: no program ever holds a whole one. `make soak-jobs` runs it with 200 MiB."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.gateway import FakeGateway
from jobs_rig.mariadb import MariaDb
from jobs_rig.openai_client import ended, line
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import KEPT, done, make_job, take, url_file
from jobs_rig.verdict import commit, publish
from openai import AsyncOpenAI
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.store import files, outputs
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.settle import settle
from slicewise_jobs.store.submit import submit

SOAK = "SLICEWISE_FILE_MIB" in os.environ
"""Whether the lines run, too; otherwise the last one is wrong, and none does: that takes seconds."""
FILE_MIB = int(os.environ.get("SLICEWISE_FILE_MIB", "40"))
LINE_BYTES = 128 << 10
LINES = (FILE_MIB << 20) // LINE_BYTES
MOST_BYTES = 32 << 20
"""What a program may need beside what it has at rest, whatever the file's size."""
TENANT = {"x-slicewise-tenant": "acme"}


async def content() -> AsyncIterator[bytes]:
    for number in range(LINES):
        prompt = f"{number} ".ljust(LINE_BYTES - 160, "x")
        yield line(str(number), prompt) + b"\n"
    if not SOAK:
        yield b"{}\n"


async def upload(session: aiohttp.ClientSession, api: Api) -> str:
    with aiohttp.MultipartWriter("form-data") as form:
        form.append("batch").set_content_disposition("form-data", name="purpose")
        form.append(content()).set_content_disposition("form-data", name="file", filename="input.jsonl")
    async with session.post(f"{api.url}/v1/files", data=form, headers=TENANT) as answer:
        assert answer.status == 200, await answer.text()
        return str((await answer.json())["id"])


async def size_of(session: aiohttp.ClientSession, api: Api, file_id: str) -> int:
    async with session.get(f"{api.url}/v1/files/{file_id}/content", headers=TENANT) as answer:
        assert answer.status == 200
        return sum([len(part) async for part in answer.content.iter_any()])


@pytest.mark.timeout(3600)
async def test_a_large_file_is_never_whole_in_memory(
    start_api: Callable[..., Api],
    start_dispatcher: Callable[..., DispatcherProgram],
    gateway: FakeGateway,
    openai_of: Callable[..., AsyncOpenAI],
) -> None:
    gateway.keeps = False
    api = start_api()
    dispatcher = await ready(start_dispatcher(api, SLOTS=8))
    at_rest = {program: program.peak_bytes() for program in (api, dispatcher)}
    client = openai_of(api)
    began = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3600)) as session:
        file_id = await upload(session, api)
        size = await size_of(session, api, file_id)
        assert size > LINES * LINE_BYTES * 0.99
        batch = await client.batches.create(
            input_file_id=file_id, completion_window="24h", endpoint="/v1/chat/completions"
        )
        batch = await ended(client, batch.id, 3600)
        if SOAK:
            assert batch.request_counts is not None
            assert batch.request_counts.completed == LINES
            assert await size_of(session, api, str(batch.output_file_id)) > size * 0.99
        else:
            assert batch.errors is not None
            assert batch.errors.data is not None
            assert [error.line for error in batch.errors.data] == [LINES + 1]
    grown = {program.command: program.peak_bytes() - held for program, held in at_rest.items()}
    if SOAK:
        tell(size, grown, time.monotonic() - began)
    assert max(grown.values()) < MOST_BYTES


def tell(size: int, grown: dict[str, int], seconds: float) -> None:
    rows = "\n".join(
        f"{program + ' at its peak':34}{held / (1 << 20):.1f} MiB more than at rest" for program, held in grown.items()
    )
    publish(f"""
A file of {size / (1 << 20):.0f} MiB: uploaded, fetched, run as a batch of {LINES:,} lines, its output fetched

date      {datetime.now(UTC):%Y-%m-%d %H:%M} UTC
commit    {commit()}
time                              {seconds / 60:.1f} minutes
{rows}
""")


async def rows_read(connection: AsyncConnection) -> int:
    """Return how many rows this session has read so far."""
    rows = await connection.execute(text("SHOW SESSION STATUS LIKE 'Handler_read_%'"))
    return sum(int(row[1]) for row in rows if row[0] in {"Handler_read_key", "Handler_read_next"})


async def test_the_database_reads_little_more_of_a_file_than_is_asked_for(
    database: Database, mariadb: MariaDb, tables: str, tmp_path: Path
) -> None:
    """A length costs the server the whole body: with those of 500 chunks, each transaction of a batch read 250 MiB."""
    file_id = secrets.token_bytes(16)
    for place in range(100):
        await files.add_chunk(database, file_id, place, b"x" * files.CHUNK_BYTES if place < 10 else b"x")
    # One connection: what it says of its session is said of all these queries.
    one = Database(url_file(mariadb, tmp_path, tables), mariadb.ca_file, connections=1, timeout_seconds=20)
    before = await one.run(rows_read)
    reading = files.read(one, file_id)
    assert len(await anext(reading)) == files.CHUNK_BYTES
    assert await one.run(rows_read) - before < 20
    # Small ones are read many at a time.
    assert sum([len(part) async for part in reading]) == 9 * files.CHUNK_BYTES + 90
    await one.close()


async def test_the_database_reads_little_more_of_the_answers_than_one_transaction_takes(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await submit(database, "default/chat", [make_job() for _ in range(60)])
    jobs = await take(database, 60)
    await settle(database, [done(job, b"x" * 100) for job in jobs], KEPT)
    named = [job.id for job in jobs]

    async def chosen(connection: AsyncConnection) -> tuple[int, int]:
        before = await rows_read(connection)
        found = await outputs._within(connection, named)
        return len(found), await rows_read(connection) - before

    assert (await database.run(chosen))[0] == 60
    monkeypatch.setattr(outputs, "_MOST_BYTES", 350)
    number, read = await database.run(chosen)
    assert number == 3
    assert read < 20
