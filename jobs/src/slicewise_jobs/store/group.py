"""One transaction for all who wait: a commit costs one write to the disk, however many jobs it holds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, Generic, TypeVar

from slicewise_jobs.store.trouble import StoreError

Item = TypeVar("Item")
Answer = TypeVar("Answer")


_Batch = list[tuple[Item, asyncio.Future[Answer]]]


class GroupCommit(Generic[Item, Answer]):
    """Hands what is put while a transaction runs to the next one together. The first item waits for nothing."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        size: Callable[[Item], int],
        *,
        most_items: int = 200,
        most_bytes: int = 4 << 20,
        enough_items: int = 1,
        gather_seconds: float = 0.0,
    ) -> None:
        """Begin a transaction as soon as `enough_items` wait, and at the latest `gather_seconds` after the last one began."""
        self._flush = flush
        self._size = size
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._enough_items = enough_items
        self._gather_seconds = gather_seconds
        self._begun_at = float("-inf")
        self._enough = asyncio.Event()
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self.commits = 0
        """Transactions so far."""

    async def put(self, item: Item) -> Answer:
        """Return what `flush` says of this item. Raises what `flush` raises."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if len(self._waiting) >= self._enough_items:
            self._enough.set()
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Wait for what has been put."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            await self._gather()
            batch = self._next()
            try:
                await self._flush_all(batch)
            except StoreError as error:
                _fail(batch, error)
            except Exception as error:  # noqa: BLE001 - each caller gets it
                if len(batch) == 1:
                    _fail(batch, error)
                else:
                    await self._one_by_one(batch)

    async def _flush_all(self, batch: _Batch[Item, Answer]) -> None:
        answers = await self._flush([item for item, _ in batch])
        self.commits += 1
        for (_, future), answer in zip(batch, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    async def _one_by_one(self, batch: _Batch[Item, Answer]) -> None:
        """Flush each item alone: one that cannot be written fails none of the others."""
        for pair in batch:
            try:
                await self._flush_all([pair])
            except Exception as error:  # noqa: BLE001 - its caller gets it
                _fail([pair], error)

    async def _gather(self) -> None:
        """Wait for more of those that come close together. One alone waits for nothing: the last transaction began long ago."""
        clock = asyncio.get_running_loop().time
        if (left := self._begun_at + self._gather_seconds - clock()) > 0 and len(self._waiting) < self._enough_items:
            self._enough.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(left):
                    await self._enough.wait()
        self._begun_at = clock()

    def _next(self) -> _Batch[Item, Answer]:
        batch = [self._waiting.popleft()]
        held = self._size(batch[0][0])
        while self._waiting and len(batch) < self._most_items:
            held += self._size(self._waiting[0][0])
            if held > self._most_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch


def _fail(batch: _Batch[Any, Any], error: Exception) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)
