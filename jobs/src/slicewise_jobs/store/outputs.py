"""The output and the errors of a batch: lines that are added in chunks as jobs end, and seen once the batch has ended."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.decisions import ids
from slicewise_jobs.decisions.batch import BatchState
from slicewise_jobs.decisions.body import make_id, show_id
from slicewise_jobs.decisions.states import State
from slicewise_jobs.store.batches import Batch
from slicewise_jobs.store.files import CHUNK_BYTES
from slicewise_jobs.store.sql import NOW, sql

_MOST_LINES: Final = 200
_MOST_BYTES: Final = 4 << 20
# To say how long a body is the server reads all of it: so of a few at first, and of more where they are small.
_FIRST_SIZES: Final = 8
_MAKE: Final = sql(
    f"""INSERT INTO slicewise_files (id, pool, tenant, state, purpose, filename, bytes, chunk_bytes, created_at)
 VALUES (:id, :pool, :tenant, 'writing', 'batch_output', :name, 0, {CHUNK_BYTES}, {NOW})"""
)
_GROW: Final = sql("UPDATE slicewise_files SET bytes = bytes + :bytes WHERE id = :id")
_ADD: Final = sql("INSERT INTO slicewise_file_chunks (file, place, body) VALUES (:file, :place, :body)")
_NOTE: Final = sql(
    """UPDATE slicewise_batches SET output_file = :output, error_file = :error, completed = completed + :completed,
 failed = failed + :failed WHERE id = :id"""
)
_FILES: Final = sql("SELECT output_file, error_file, output_seconds FROM slicewise_batches WHERE id = :id")
_CLOSE: Final = sql(
    f"UPDATE slicewise_files SET state = 'ready', due_at = {NOW} + INTERVAL :keep SECOND WHERE id IN :ids", "ids"
)
_LAST: Final = sql("SELECT COALESCE(MAX(place), -1) FROM slicewise_file_chunks WHERE file = :file")


@dataclass(frozen=True, slots=True)
class Output:
    """Lines that are added to a batch's files."""

    pool: str
    batch: Batch
    completed: Sequence[bytes]
    """Whole lines."""
    failed: Sequence[tuple[str, str, str]]
    """`custom_id`, code and message."""


async def append(connection: AsyncConnection, output: Output) -> None:
    """Add lines, and count them."""
    batch = output.batch
    failed = [error_line(*each) for each in output.failed]
    files = []
    for lines, file, name in (
        (output.completed, batch.output_file, "output"),
        (failed, batch.error_file, "error"),
    ):
        files.append(await _write(connection, output, lines, file, name))
    counts = {"completed": len(output.completed), "failed": len(output.failed)}
    await connection.execute(_NOTE, {"id": batch.id, "output": files[0], "error": files[1], **counts})


async def _write(
    connection: AsyncConnection, output: Output, lines: Sequence[bytes], file: bytes | None, name: str
) -> bytes | None:
    if not lines:
        return file
    if file is None:
        file = make_id(time.time(), os.urandom(10))
        named = f"{ids.show(ids.BATCH, output.batch.id)}_{name}.jsonl"
        values = {"id": file, "pool": output.pool, "tenant": output.batch.tenant, "name": named}
        await connection.execute(_MAKE, values)
        last = -1
    else:
        last = int(await connection.scalar(_LAST, {"file": file}) or 0)
    size = 0
    for place, chunk in enumerate(_chunks(lines), last + 1):
        await connection.execute(_ADD, {"file": file, "place": place, "body": chunk})
        size += len(chunk)
    await connection.execute(_GROW, {"id": file, "bytes": size})
    return file


def _chunks(lines: Sequence[bytes]) -> Iterator[bytes]:
    """Yield the lines in parts that fit into a packet of the database, few of them."""
    held = b"".join(lines)
    for start in range(0, len(held), CHUNK_BYTES):
        yield held[start : start + CHUNK_BYTES]


def error_line(custom_id: str, code: str, message: str) -> bytes:
    """Return a line of the file of errors."""
    shown = {"id": _line_id(os.urandom(16)), "custom_id": custom_id, "response": None}
    return json.dumps({**shown, "error": {"code": code, "message": message}}).encode() + b"\n"


def _line_id(found: bytes) -> str:
    return f"batch_req_{found.hex()}"


def _output_line(custom_id: str, job_id: bytes, row: Any) -> bytes:
    head = {"id": _line_id(job_id), "custom_id": custom_id}
    response = {"status_code": row.status, "request_id": show_id(job_id)}
    if row.content_type == "application/json":
        # Not read and written again. A line feed can only be between what JSON is made of, not within it.
        body: bytes = row.body.replace(b"\n", b" ").replace(b"\r", b" ")
    else:
        body = json.dumps(row.body.decode(errors="replace")).encode()
    text = json.dumps(head).encode()[:-1] + b', "response": ' + json.dumps(response).encode()[:-1]
    return text + b', "body": ' + body + b'}, "error": null}\n'


_ENDED: Final = sql(
    f"""SELECT l.job, l.custom_id FROM slicewise_batch_lines l LEFT JOIN slicewise_jobs j ON j.id = l.job WHERE l.batch = :batch
 AND (j.state IS NULL OR j.state IN ('done', 'error', 'cancelled', 'expired')) LIMIT {_MOST_LINES}"""
)
_JOBS: Final = sql("SELECT id, state, last_error FROM slicewise_jobs WHERE id IN :ids ORDER BY seq FOR UPDATE", "ids")
_SIZES: Final = sql("SELECT id, LENGTH(body) AS bytes FROM slicewise_job_results WHERE id IN :ids", "ids")
_RESULTS: Final = sql("SELECT id, status, content_type, body FROM slicewise_job_results WHERE id IN :ids", "ids")
_TABLES: Final = (
    ("slicewise_job_results", "id"),
    ("slicewise_job_inputs", "id"),
    ("slicewise_jobs", "id"),
    ("slicewise_batch_lines", "job"),
)


async def collect(connection: AsyncConnection, pool: str, batch: Batch, gone: tuple[str, str]) -> int:
    """Move the answers of jobs that have ended to the batch's files, and delete the jobs. Returns how many.

    `gone`: code and message of those that were cancelled with their batch. The caller has the lock of the batch's row.
    """
    rows = (await connection.execute(_ENDED, {"batch": batch.id})).all()
    if not rows:
        return 0
    named = {row.job: row.custom_id for row in rows}
    found = {row.id: row for row in await connection.execute(_JOBS, {"ids": list(named)})}
    chosen = await _within(connection, [job for job in named if _has_ended(found.get(job))])
    done = [job for job in chosen if job in found and found[job].state == State.DONE]
    results = {row.id: row for row in await connection.execute(_RESULTS, {"ids": done})} if done else {}
    completed = [_output_line(named[job], job, results[job]) for job in done if job in results]
    failed = [(named[job], *_why(found.get(job), batch.state, gone)) for job in chosen if job not in results]
    await append(connection, Output(pool, batch, completed, failed))
    for table, column in _TABLES:
        await connection.execute(sql(f"DELETE FROM {table} WHERE {column} IN :ids", "ids"), {"ids": chosen})
    return len(chosen)


def _has_ended(row: Any) -> bool:
    return row is None or row.state in {State.DONE, State.ERROR, State.CANCELLED, State.EXPIRED}


async def _within(connection: AsyncConnection, jobs: Sequence[bytes]) -> list[bytes]:
    """Return the first of these jobs whose answers together are not too large for one transaction: one at least."""
    chosen: list[bytes] = []
    held, place, many = 0, 0, _FIRST_SIZES
    while group := jobs[place : place + many]:
        sizes = {row.id: row.bytes for row in await connection.execute(_SIZES, {"ids": list(group)})}
        for job in group:
            held += sizes.get(job, 0)
            if chosen and held > _MOST_BYTES:
                return chosen
            chosen.append(job)
        place, many = place + many, 2 * many
    return chosen


def _why(row: Any, state: BatchState, gone: tuple[str, str]) -> tuple[str, str]:
    """Return code and message of a job without an answer."""
    if row is None:
        return "job_deleted", "The job of this request was deleted before its answer was read."
    if row.state == State.CANCELLED:
        by_itself = state is BatchState.IN_PROGRESS
        return ("job_cancelled", "The job of this request was cancelled.") if by_itself else gone
    return "job_failed", row.last_error or "The request failed."


async def close_outputs(connection: AsyncConnection, batch_id: bytes, keep_seconds: float) -> None:
    """Let clients see the files of a batch, which are kept for as long as the batch said."""
    row = (await connection.execute(_FILES, {"id": batch_id})).one()
    files = [file for file in (row.output_file, row.error_file) if file]
    if files:
        keep = round(keep_seconds) if row.output_seconds is None else row.output_seconds
        await connection.execute(_CLOSE, {"ids": files, "keep": keep})
