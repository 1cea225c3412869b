"""Files of clients in chunks: no program and no transaction ever holds a whole one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from slicewise_jobs.store.database import Database, Work
from slicewise_jobs.store.sql import NOW, after, sql
from slicewise_jobs.store.trouble import OutcomeUnknownError

T = TypeVar("T")
CHUNK_BYTES: Final = 512 << 10
_UPLOAD_HOURS: Final = 2
_AT_ONCE: Final = 64
"""Chunks that one transaction deletes."""


@dataclass(frozen=True, slots=True)
class File:
    """A file as its tenant sees it. Times are UTC, by the database's clock."""

    id: bytes
    purpose: str
    filename: str
    bytes: int
    chunk_bytes: int
    created_at: datetime
    due_at: datetime | None


@dataclass(frozen=True, slots=True)
class Room:
    """What the files of a tenant may be."""

    most_files: int
    most_bytes: int


_COLUMNS: Final = "id, purpose, filename, bytes, chunk_bytes, created_at, due_at"
_HELD: Final = sql(
    """SELECT COUNT(*) AS files, COALESCE(SUM(bytes), 0) AS bytes FROM slicewise_files
 WHERE pool = :pool AND tenant = :tenant AND state <> 'deleted'"""
)
_BEGIN: Final = sql(
    f"""INSERT IGNORE INTO slicewise_files (id, pool, tenant, state, purpose, filename, bytes, chunk_bytes, created_at, due_at)
 VALUES (:id, :pool, :tenant, 'uploading', '', '', :bytes, {CHUNK_BYTES}, {NOW}, {NOW} + INTERVAL {_UPLOAD_HOURS} HOUR)"""
)
_ADD: Final = sql("REPLACE INTO slicewise_file_chunks (file, place, body) VALUES (:file, :place, :body)")
_FINISH: Final = sql(
    """UPDATE slicewise_files SET state = 'ready', purpose = :purpose, filename = :filename, bytes = :bytes,
 due_at = created_at + INTERVAL :keep MICROSECOND WHERE id = :id AND state = 'uploading'"""
)
_ONE: Final = sql(
    f"SELECT {_COLUMNS} FROM slicewise_files WHERE id = :id AND pool = :pool AND tenant = :tenant AND state = 'ready'"
)
_LOCK: Final = sql(
    "SELECT seq FROM slicewise_files WHERE id = :id AND pool = :pool AND tenant = :tenant AND state = 'ready' FOR UPDATE"
)
_PLACE: Final = sql("SELECT seq FROM slicewise_files WHERE id = :id AND pool = :pool AND tenant = :tenant")
_USED: Final = sql(
    """SELECT 1 FROM slicewise_batches WHERE pool = :pool AND tenant = :tenant AND input_file = :id
 AND state IN ('validating', 'in_progress', 'finalizing', 'cancelling') LIMIT 1"""
)
_DROP: Final = sql(f"UPDATE slicewise_files SET state = 'deleted', due_at = {NOW} WHERE seq = :seq")
_SIZES: Final = sql(
    """SELECT place, LENGTH(body) AS bytes FROM slicewise_file_chunks WHERE file = :file AND place >= :place
 ORDER BY place LIMIT :most"""
)
# To say how long a body is the server reads all of it: so a few at first, and more where they are small.
_FIRST_SIZES: Final = 8
_MOST_SIZES: Final = 512
_BODIES: Final = sql(
    "SELECT body FROM slicewise_file_chunks WHERE file = :file AND place BETWEEN :first AND :last ORDER BY place"
)


async def begin(database: Database, whose: tuple[str, str], file_id: bytes, size: int, room: Room) -> bool:
    """Return whether the tenant (pool, tenant) has room for a file of `size` bytes; then it is there, and clients do not see it yet.

    It counts in full from now on. One that is not finished in two hours is deleted.
    """
    pool, tenant = whose

    async def work(connection: AsyncConnection) -> bool:
        held = (await connection.execute(_HELD, {"pool": pool, "tenant": tenant})).one()
        if held.files >= room.most_files or held.bytes + size > room.most_bytes:
            return False
        await connection.execute(_BEGIN, {"id": file_id, "pool": pool, "tenant": tenant, "bytes": size})
        return True

    return await _twice(database, work)


async def add_chunk(database: Database, file_id: bytes, place: int, body: bytes) -> None:
    """Add a part of a file that is not finished."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(_ADD, {"file": file_id, "place": place, "body": body})

    await _twice(database, work)


async def finish(database: Database, whose: tuple[str, str], file: File, keep_seconds: float) -> File | None:
    """Return the file that is whole now; None where it was deleted meanwhile."""

    async def work(connection: AsyncConnection) -> File | None:
        values = {
            "id": file.id,
            "purpose": file.purpose,
            "filename": file.filename,
            "bytes": file.bytes,
            "keep": round(keep_seconds * 1_000_000),
        }
        await connection.execute(_FINISH, values)
        return await _one(connection, whose, file.id)

    return await _twice(database, work)


async def forget(database: Database, file_id: bytes) -> None:
    """Give up an upload that broke off."""

    async def work(connection: AsyncConnection) -> None:
        await connection.execute(
            sql(f"UPDATE slicewise_files SET state = 'deleted', due_at = {NOW} WHERE id = :id AND state = 'uploading'"),
            {"id": file_id},
        )

    await database.run(work)


async def _one(connection: AsyncConnection, whose: tuple[str, str], file_id: bytes) -> File | None:
    row = (await connection.execute(_ONE, {"id": file_id, "pool": whose[0], "tenant": whose[1]})).one_or_none()
    return None if row is None else _file(row)


def _file(row: Any) -> File:
    return File(row.id, row.purpose, row.filename, row.bytes, row.chunk_bytes, row.created_at, row.due_at)


async def find_file(database: Database, whose: tuple[str, str], file_id: bytes) -> File | None:
    """Return a file that is whole; None where the tenant has no such file. Raises StoreError."""
    return await database.run(lambda connection: _one(connection, whose, file_id))


async def page_of_files(
    database: Database, whose: tuple[str, str], purpose: str | None, after_id: bytes | None, most: int, *, newest: bool
) -> list[File] | None:
    """Return at most `most` files from behind `after_id` on; None where there is no such file. Raises StoreError."""

    async def work(connection: AsyncConnection) -> list[File] | None:
        values: dict[str, Any] = {"pool": whose[0], "tenant": whose[1], "most": most}
        where = "pool = :pool AND tenant = :tenant AND state = 'ready'"
        if after_id is not None:
            values["place"] = await connection.scalar(_PLACE, {"id": after_id, **values})
            if values["place"] is None:
                return None
            where += f" AND seq {'<' if newest else '>'} :place"
        if purpose is not None:
            values["purpose"] = purpose
            where += " AND purpose = :purpose"
        order = "DESC" if newest else "ASC"
        statement = f"SELECT {_COLUMNS} FROM slicewise_files WHERE {where} ORDER BY seq {order} LIMIT :most"
        return [_file(row) for row in await connection.execute(sql(statement), values)]

    return await database.run(work)


async def drop(database: Database, whose: tuple[str, str], file_id: bytes) -> bool | None:
    """Delete a file. Returns False where an open batch reads it, None where it does not exist. Raises StoreError."""

    async def work(connection: AsyncConnection) -> bool | None:
        values = {"id": file_id, "pool": whose[0], "tenant": whose[1]}
        seq = await connection.scalar(_LOCK, values)
        if seq is None:
            return None
        if await connection.scalar(_USED, values):
            return False
        await connection.execute(_DROP, {"seq": seq})
        return True

    return await database.run(work)


async def read(database: Database, file_id: bytes, place: int = 0) -> AsyncIterator[bytes]:
    """Yield the bytes of a file from a chunk on, about `CHUNK_BYTES` at a time. Raises StoreError."""
    most = _FIRST_SIZES
    while True:
        sizes = await _rows(database, _SIZES, {"file": file_id, "place": place, "most": most})
        if not sizes:
            return
        most = min(2 * most, _MOST_SIZES) if sum(row.bytes for row in sizes) < 4 * CHUNK_BYTES else _FIRST_SIZES
        while sizes:
            many, total = 1, sizes[0].bytes
            while many < len(sizes) and total + sizes[many].bytes <= CHUNK_BYTES:
                total += sizes[many].bytes
                many += 1
            span = {"file": file_id, "first": sizes[0].place, "last": sizes[many - 1].place}
            found = await _rows(database, _BODIES, span)
            yield b"".join(row.body for row in found)
            place = span["last"] + 1
            sizes = sizes[many:]


async def _rows(database: Database, statement: Any, values: dict[str, Any]) -> Sequence[Any]:
    async def work(connection: AsyncConnection) -> Sequence[Any]:
        return (await connection.execute(statement, values)).all()

    return await database.run(work)


_DUE: Final = sql(f"SELECT seq, id FROM slicewise_files WHERE pool = :pool AND due_at <= {NOW} LIMIT 20")
_CHUNKS: Final = sql(f"DELETE FROM slicewise_file_chunks WHERE file = :id LIMIT {_AT_ONCE}")
_HIDE: Final = sql(f"UPDATE slicewise_files SET state = 'deleted' WHERE seq = :seq AND due_at <= {NOW}")
_GONE: Final = sql("DELETE FROM slicewise_files WHERE seq = :seq AND state = 'deleted'")
_STILL: Final = sql(
    """SELECT 1 FROM slicewise_batches WHERE input_file = :id AND pool = :pool
 AND state IN ('validating', 'in_progress', 'finalizing', 'cancelling') LIMIT 1"""
)
_LATER: Final = sql(f"UPDATE slicewise_files SET due_at = {after(3600)} WHERE seq = :seq AND state = 'ready'")


async def delete_due_files(database: Database, pool: str) -> int:
    """Return how many files were deleted whose time is over, chunk by chunk, so that each transaction is short. Raises StoreError."""
    due = await _rows(database, _DUE, {"pool": pool})
    return sum([await _delete(database, pool, row) for row in due])


async def _delete(database: Database, pool: str, row: Any) -> bool:
    async def hide(connection: AsyncConnection) -> bool:
        # An input is kept for as long as its batch reads it.
        if await connection.scalar(_STILL, {"id": row.id, "pool": pool}):
            await connection.execute(_LATER, {"seq": row.seq})
            return False
        await connection.execute(_HIDE, {"seq": row.seq})
        return True

    async def chunks(connection: AsyncConnection) -> int:
        return (await connection.execute(_CHUNKS, {"id": row.id})).rowcount

    async def end(connection: AsyncConnection) -> None:
        await connection.execute(_GONE, {"seq": row.seq})

    if not await database.run(hide):
        return False
    while await database.run(chunks) == _AT_ONCE:
        pass
    await database.run(end)
    return True


async def _twice(database: Database, work: Work[T]) -> T:
    """Run what may be done again without harm once more where its outcome is not known."""
    try:
        return await database.run(work)
    except OutcomeUnknownError:
        return await database.run(work)
