"""The loop that drives the batches of a pool on. Any number of programs may run it: each step is a transaction under the batch's lock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from slicewise_jobs.batches.source import check_input, next_lines
from slicewise_jobs.decisions.batch import BatchState
from slicewise_jobs.decisions.lines import Asked
from slicewise_jobs.store import batch_steps
from slicewise_jobs.store.batches import Batch
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.files import delete_due_files, find_file
from slicewise_jobs.store.trouble import StoreError
from slicewise_jobs.store.watch import Watch

log = structlog.get_logger(__name__)
_BUSY_SECONDS: Final = 0.25
"""Between two looks while batches are open and nothing is to be done for them."""
_IDLE_SECONDS: Final = 5.0
_TROUBLE_SECONDS: Final = 1.0
_CLEAN_SECONDS: Final = 30.0
_MOST_CHECKS: Final = 2
_SKIPPED: Final = 500


class Wakes(Protocol):
    """What lets dispatchers know."""

    def wake(self, jobs: int) -> None:
        """There are that many new jobs."""

    def cancel(self, job_id: bytes) -> None:
        """A job that runs was cancelled."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Whose batches these are, and their bounds."""

    pool: str
    model: str
    most_body_bytes: int
    most_lines: int
    window: int
    """Lines of one batch that are jobs at a time."""
    keep_job_seconds: float
    keep_file_seconds: float


class Keeper:
    """Drives batches on until it is cancelled."""

    def __init__(self, database: Database, plan: Plan, hub: Wakes, watch: Watch) -> None:
        self._database = database
        self._plan = plan
        self._hub = hub
        self._watch = watch
        self._wake = asyncio.Event()
        self._checks: dict[bytes, asyncio.Task[None]] = {}
        self._chunk_bytes: dict[bytes, int] = {}
        self._cleaned = float("-inf")

    def wake(self) -> None:
        """There is a new batch, or one was cancelled."""
        self._wake.set()

    async def run(self) -> None:
        """Look again and again."""
        try:
            while True:
                self._wake.clear()
                wait = await self._round()
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    continue
        finally:
            for check in self._checks.values():
                check.cancel()

    async def _round(self) -> float:
        """Return the seconds after which to look again."""
        if self._watch.finding:
            return _TROUBLE_SECONDS
        try:
            if time.monotonic() - self._cleaned > _CLEAN_SECONDS:
                await batch_steps.delete_due_batches(self._database, self._plan.pool)
                await delete_due_files(self._database, self._plan.pool)
                self._cleaned = time.monotonic()
            batches = await batch_steps.open_batches(self._database, self._plan.pool)
            worked = [await self._step(batch) for batch in batches]
        except StoreError as error:
            self._watch.note(error.finding)
            return _TROUBLE_SECONDS
        if any(worked):
            return 0
        return _BUSY_SECONDS if batches or self._checks else _IDLE_SECONDS

    async def _step(self, batch: Batch) -> bool:
        """Return whether something was done for a batch."""
        if batch.over and batch.state in {BatchState.VALIDATING, BatchState.IN_PROGRESS}:
            for job in await batch_steps.expire(self._database, batch, self._plan.keep_job_seconds):
                self._hub.cancel(job)
            return True
        if batch.state is BatchState.VALIDATING:
            return self._check(batch)
        gathered = await batch_steps.gather(self._database, self._plan.pool, batch)
        if batch.read_lines < batch.total:
            return bool(await self._read(batch) or gathered)
        return bool(await batch_steps.end(self._database, batch, self._plan.keep_file_seconds) or gathered)

    async def _read(self, batch: Batch) -> bool:
        most = _SKIPPED
        if batch.state is BatchState.IN_PROGRESS:
            room = self._plan.window - await batch_steps.outstanding(self._database, batch.id)
            # Several at a time: a transaction for each job that ends would cost one for each.
            if room < max(1, self._plan.window // 4):
                return False
            most = room
        size = await self._size_of_chunks(batch)
        read = await next_lines(self._database, batch, size, self._plan.model, most) if size else None
        if read is None or not (read.lines or read.refused):
            log.error("input of a batch is not whole", batch=batch.id.hex(), lines=batch.read_lines, total=batch.total)
            await batch_steps.cut(self._database, batch)
            return True
        if batch.state is not BatchState.IN_PROGRESS:
            return bool(await batch_steps.skip(self._database, self._plan.pool, batch, read))
        fed = await batch_steps.feed(self._database, self._plan.pool, batch, read)
        self._hub.wake(fed)
        return True

    async def _size_of_chunks(self, batch: Batch) -> int | None:
        if batch.id not in self._chunk_bytes:
            file = await find_file(self._database, (self._plan.pool, batch.tenant), batch.input_file)
            if file is None:
                return None
            if len(self._chunk_bytes) > 1000:
                self._chunk_bytes.clear()
            self._chunk_bytes[batch.id] = file.chunk_bytes
        return self._chunk_bytes[batch.id]

    def _check(self, batch: Batch) -> bool:
        if batch.id in self._checks or len(self._checks) >= _MOST_CHECKS:
            return False
        task = self._checks[batch.id] = asyncio.create_task(self._check_one(batch))
        task.add_done_callback(lambda _: self._checked(batch.id))
        return False

    def _checked(self, batch_id: bytes) -> None:
        self._checks.pop(batch_id, None)
        self._wake.set()

    async def _check_one(self, batch: Batch) -> None:
        plan, database = self._plan, self._database
        try:
            if not await batch_steps.take_for_check(database, batch.id):
                return
            asked = Asked(batch.endpoint, plan.model, plan.most_body_bytes)
            check = await check_input(
                database,
                batch,
                asked,
                plan.most_lines,
                lambda: batch_steps.take_for_check(database, batch.id, again=True),
            )
            errors = [
                {"code": each.code, "message": each.message, "line": each.line, "param": each.param}
                for each in check.errors
            ]
            await batch_steps.checked(database, batch.id, check.total, errors, plan.keep_file_seconds)
        except StoreError as error:
            # A minute later it is checked again, by whichever program is there.
            self._watch.note(error.finding)
