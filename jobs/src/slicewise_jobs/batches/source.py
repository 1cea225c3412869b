"""Reading the input of a batch line by line from its chunks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from slicewise_jobs.decisions.body import RefusedError
from slicewise_jobs.decisions.lines import ENVELOPE_BYTES, Asked, Check, Line, Lines, read_line
from slicewise_jobs.store.batch_steps import Read
from slicewise_jobs.store.batches import Batch
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.files import read

_HOLD_SECONDS: Final = 15.0
_MOST_BYTES: Final = 2 << 20
"""Of the lines of one transaction."""
_ANY: Final = 128 << 20
"""What a checked line may have: limits may have been lowered since."""


async def check_input(
    database: Database, batch: Batch, asked: Asked, most_lines: int, hold: Callable[[], Awaitable[object]]
) -> Check:
    """Return what is wrong with an input. `hold` is called every now and then. Raises StoreError."""
    check, lines, held = Check(asked, most_lines), Lines(asked.most_bytes + ENVELOPE_BYTES), time.monotonic()
    go_on = True
    async for chunk in read(database, batch.input_file):
        # In a thread: the requests of others go on meanwhile.
        go_on = await asyncio.to_thread(_take, check, lines, chunk)
        if not go_on:
            break
        if time.monotonic() - held > _HOLD_SECONDS:
            await hold()
            held = time.monotonic()
    if go_on:
        for line, _ in lines.end():
            check.take(line)
    check.finish()
    return check


def _take(check: Check, lines: Lines, chunk: bytes) -> bool:
    return all(check.take(line) for line, _ in lines.feed(chunk))


async def next_lines(database: Database, batch: Batch, chunk_bytes: int, model: str, most: int) -> Read:
    """Return the lines of a checked input that come next: at most `most`, and about 2 MiB. Raises StoreError."""
    asked = Asked(batch.endpoint, model, _ANY)
    found: list[Line] = []
    refused: list[tuple[str, str, str]] = []
    taken, size = batch.read_bytes, 0
    async for raw, length in _lines_from(database, batch, chunk_bytes):
        taken += length
        if raw is None or not raw.strip():
            continue
        try:
            found.append(read_line(raw, asked))
        except RefusedError as error:
            refused.append(("", error.code, error.message))
        size += len(raw)
        if len(found) + len(refused) >= most or size > _MOST_BYTES:
            break
    return Read(found, refused, taken)


async def _lines_from(database: Database, batch: Batch, chunk_bytes: int) -> AsyncIterator[tuple[bytes | None, int]]:
    place, skip = divmod(batch.read_bytes, chunk_bytes)
    lines = Lines(_ANY + ENVELOPE_BYTES, at_start=batch.read_bytes == 0)
    async for chunk in read(database, batch.input_file, place):
        for each in lines.feed(chunk[skip:]):
            yield each
        skip = 0
    for each in lines.end():
        yield each
