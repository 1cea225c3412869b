"""Reconciles up to `limit` pools concurrently, each with a timeout; a failing pool backs off on its own, for at most 30 s.

Runs only while this replica leads. A pool that always fails occupies one of the places for a moment, never for good.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Final

import structlog

from slicewise.clients.clock import Clock
from slicewise.clients.kube import ApiError
from slicewise.cluster.cache import Key
from slicewise.controller.apply import ConflictError, LeaseLostError
from slicewise.controller.reconcile import Done, Reconciler
from slicewise.controller.work_queue import WorkQueue

log = structlog.get_logger(__name__)
LONGEST_BACKOFF: Final = 30.0
RECONCILE_TIMEOUT: Final = 120.0
"""Seconds after which a reconcile is cancelled; a stuck one would keep its place for ever."""
MOST_WRITES_IN_A_ROW: Final = 20
"""Reconciles in a row that write something before a pool is held back once."""

Recorder = Callable[[str, float, BaseException | None], None]
"""`(result, seconds, error)` of a reconcile, for the metrics."""


def backoff(failures: int, retry_after: float | None = None) -> float:
    """Return the seconds to wait after that many failures in a row: 0.5, 1, 2, … 30, for ever; never less than asked for."""
    wait = min(LONGEST_BACKOFF, 0.5 * 2.0 ** min(failures - 1, 10))
    return max(wait, min(retry_after or 0.0, LONGEST_BACKOFF))


class ReconcileLoop:
    """Takes pools from the work queue and reconciles them, `limit` at a time."""

    def __init__(self, queue: WorkQueue, reconciler: Reconciler, clock: Clock, limit: int, record: Recorder) -> None:
        self._queue = queue
        self._reconciler = reconciler
        self._clock = clock
        self._limit = limit
        self._record = record
        self._failures: dict[Key, int] = {}
        self._writes: dict[Key, int] = {}
        self.workers: list[asyncio.Task[None]] = []
        """They run until cancelled; one that ends has met a bug."""

    def start(self) -> None:
        """Start the workers; they wait until the queue's gate opens."""
        self.workers = [asyncio.create_task(self._work(), name=f"reconcile {index}") for index in range(self._limit)]

    async def stop(self, within: float) -> None:
        """Wait up to `within` seconds for running reconciles, then cancel them. Each write is complete in itself."""
        self._queue.gate(False)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await self._queue.quiet()
        for worker in self.workers:
            worker.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            await self._one(await self._queue.get())
            await asyncio.sleep(0)  # reconciles from memory never await; a thousand in a row would delay the lease

    async def _one(self, key: Key) -> None:
        started = self._clock.monotonic()
        done: Done | None = None
        error: Exception | None = None
        try:
            async with asyncio.timeout(RECONCILE_TIMEOUT):
                done = await self._reconciler.run(key)
        except (ApiError, ConflictError, LeaseLostError, TimeoutError) as expected:
            error = expected
        except Exception as surprise:  # a pool that trips over a bug must not stop the others
            error = surprise
            log.exception("reconcile failed", pool="/".join(key))
        finally:
            if done is None and error is None:  # cancelled
                self._queue.done(key, after=0)
        self._settle(key, done, error)
        self._record(_result(done, error), self._clock.monotonic() - started, error)

    def _settle(self, key: Key, done: Done | None, error: Exception | None) -> None:
        if done is not None and not done.refused:
            self._failures.pop(key, None)
            if done.after is None:
                self._queue.forget(key)
            if self._restless(key, done):
                self._queue.done(key, after=LONGEST_BACKOFF, hold=True)
                return
            jitter = 1.0 if done.after is None or done.after < 60 else random.uniform(0.9, 1.0)  # noqa: S311  # spreads resyncs
            self._queue.done(key, after=None if done.after is None else done.after * jitter)
            return
        if isinstance(error, LeaseLostError):
            self._queue.done(key, after=None)  # the next leader reconciles every pool
            return
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        wait = backoff(failures, error.retry_after if isinstance(error, ApiError) else None)
        if isinstance(error, ApiError | ConflictError | TimeoutError):
            log.warning(
                "reconcile postponed", pool="/".join(key), seconds=wait, error=str(error) or type(error).__name__
            )
        self._queue.done(key, after=wait, hold=True)

    def _restless(self, key: Key, done: Done) -> bool:
        """Whether a pool writes again and again: two writers undo each other, or a bug. Neither may flood the API server."""
        if not done.wrote:
            self._writes.pop(key, None)
            return False
        self._writes[key] = self._writes.get(key, 0) + 1
        if self._writes[key] < MOST_WRITES_IN_A_ROW:
            return False
        del self._writes[key]
        log.warning("pool does not settle", pool="/".join(key), reconciles=MOST_WRITES_IN_A_ROW)
        return True


def _result(done: Done | None, error: BaseException | None) -> str:
    if error is not None:
        return "error"
    if done is not None and done.refused:
        return "refused"
    return "wrote" if done is not None and done.wrote else "unchanged"
