"""One transaction for all who wait: a commit costs one write to the disk, however many jobs it holds."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class GroupCommit(Generic[Item, Answer]):
    """Hands what is put while a transaction runs to the next one together. The first item waits for nothing."""

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Awaitable[Sequence[Answer]]],
        size: Callable[[Item], int],
        *,
        most_items: int = 200,
        most_bytes: int = 4 << 20,
    ) -> None:
        self._flush = flush
        self._size = size
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Item, asyncio.Future[Answer]]] = deque()
        self._running: asyncio.Task[None] | None = None
        self.commits = 0
        """Transactions so far."""

    async def put(self, item: Item) -> Answer:
        """Return what `flush` says of this item. Raises what `flush` raises."""
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Wait for what has been put."""
        if self._running is not None:
            await self._running

    async def _run(self) -> None:
        while self._waiting:
            batch = self._next()
            try:
                answers = await self._flush([item for item, _ in batch])
            except Exception as error:  # noqa: BLE001 - each caller gets it
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
            else:
                self.commits += 1
                for (_, future), answer in zip(batch, answers, strict=True):
                    if not future.done():
                        future.set_result(answer)

    def _next(self) -> list[tuple[Item, asyncio.Future[Answer]]]:
        batch = [self._waiting.popleft()]
        held = self._size(batch[0][0])
        while self._waiting and len(batch) < self._most_items:
            held += self._size(self._waiting[0][0])
            if held > self._most_bytes:
                break
            batch.append(self._waiting.popleft())
        return batch
