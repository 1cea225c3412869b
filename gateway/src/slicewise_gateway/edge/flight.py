"""Single flight: an answer that is on its way, and the requests that read it while it comes.

The first of some equal requests starts it, the others join; it runs as long as anyone reads, whoever began it. An answer that
outgrows what may be stored takes nobody in any more and keeps only what its slowest reader has still to read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

_BEHIND_BYTES: Final = 1 << 20
"""A reader may be so far behind once an answer is too large to be kept whole."""

_PATIENCE_SECONDS: Final = 5.0
"""So long does one reader hold up the others."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer begins with."""

    status: int
    headers: Mapping[str, str]
    outcome: str
    """hit, miss or bypass, for who started the flight."""


class BrokenError(Exception):
    """The answer ended before its end."""


class TooSlowError(BrokenError):
    """The reader was left behind by the others."""


class Reader:
    """How far one request has read."""

    def __init__(self) -> None:
        self.position = 0
        self.is_cut = False


class Flight:
    """Filled by one task, read by many. Everything happens on one event loop."""

    def __init__(self, keep_bytes: int, may_keep: Callable[[int], bool] = lambda _: True) -> None:
        self._keep_bytes = keep_bytes
        self._may_keep = may_keep
        self._chunks: deque[bytes] = deque()
        self._first = 0
        """Number of the first chunk that is still held."""
        self.held_bytes = 0
        self._readers: set[Reader] = set()
        self._changed = asyncio.Event()
        self._moved = asyncio.Event()
        self._ended = False
        self.error: BaseException | None = None
        self.head: Head | None = None
        self.is_open = True
        """Whether the whole answer so far is here, so that others may join."""
        self.task: asyncio.Task[None] | None = None

    def begin(self, head: Head) -> None:
        """Take in what the answer begins with."""
        self.head = head
        self._tell()

    async def write(self, chunk: bytes) -> None:
        """Take in a part; waits while a reader is far behind, then goes on without it if there are others."""
        self._chunks.append(chunk)
        self.held_bytes += len(chunk)
        self._tell()
        if self.held_bytes > self._keep_bytes or not self._may_keep(len(chunk)):
            self.is_open = False
        while not self.is_open and self._trim() > _BEHIND_BYTES and self._readers:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS if len(self._readers) > 1 else None):
                    while self._trim() > _BEHIND_BYTES and self._readers:
                        self._moved.clear()
                        await self._moved.wait()
            except TimeoutError:
                self._cut_slowest()

    def end(self, error: BaseException | None = None) -> None:
        """Say that no more comes. `error`: why the answer is not whole, None when it is."""
        self._ended, self.error = True, error
        self._tell()

    def whole(self) -> bytes | None:
        """Return the answer's body, None where it was not kept."""
        return b"".join(self._chunks) if self.is_open and self._ended and self.error is None else None

    async def started(self) -> Head:
        """Return the head once it is there. Raises what prevents it."""
        while self.head is None:
            if self._ended:
                raise self.error or BrokenError("no answer")
            await self._changed.wait()
        return self.head

    async def read(self, reader: Reader) -> AsyncIterator[bytes]:
        """Yield the parts as they come. Raises BrokenError where the answer is not whole."""
        while True:
            if reader.is_cut:
                raise TooSlowError("too far behind the other readers")
            index = reader.position - self._first
            if index < len(self._chunks):
                reader.position += 1
                self._moved.set()
                yield self._chunks[index]
            elif self._ended:
                if self.error is not None:
                    raise BrokenError(str(self.error)) from self.error
                return
            else:
                await self._changed.wait()

    def join(self) -> Reader:
        """Return a new reader, at the beginning."""
        reader = Reader()
        self._readers.add(reader)
        return reader

    def leave(self, reader: Reader) -> None:
        """Take a reader out; with the last one the answer is given up."""
        self._readers.discard(reader)
        self._moved.set()
        if not self._readers and not self._ended and self.task is not None:
            self.is_open = False
            self.task.cancel()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _trim(self) -> int:
        """Let go of what all have read; return the bytes that are left."""
        slowest = min((reader.position for reader in self._readers), default=self._first + len(self._chunks))
        while self._first < slowest and self._chunks:
            self.held_bytes -= len(self._chunks.popleft())
            self._first += 1
        return self.held_bytes

    def _cut_slowest(self) -> None:
        slowest = min(self._readers, key=lambda reader: reader.position)
        slowest.is_cut = True
        self._readers.discard(slowest)
        self._tell()


class Flights:
    """All answers that are on their way, by their key. `all_bytes`: what is kept of all of them together."""

    def __init__(self, keep_bytes: int, all_bytes: int) -> None:
        self._keep_bytes = keep_bytes
        self._all_bytes = all_bytes
        self._running: dict[str, Flight] = {}

    def join(self, key: str, fly: Callable[[Flight], Awaitable[None]]) -> tuple[Flight, Reader, bool]:
        """Return the flight for `key`, a reader of it, and whether it was started for this one.

        `fly` fills a new flight; what it raises ends it. The flight is known until `fly` is done, so who comes while the answer is
        being stored still reads it here, and who comes later finds it in the store.
        """
        flight = self._running.get(key)
        if flight is not None and flight.is_open and flight.error is None:
            return flight, flight.join(), False
        flight = Flight(self._keep_bytes, self._may_keep)
        self._running[key] = flight
        reader = flight.join()
        flight.task = asyncio.create_task(self._run(key, flight, fly))
        return flight, reader, True

    def _may_keep(self, _more: int) -> bool:
        return sum(flight.held_bytes for flight in self._running.values()) <= self._all_bytes

    async def _run(self, key: str, flight: Flight, fly: Callable[[Flight], Awaitable[None]]) -> None:
        try:
            await fly(flight)
        except Exception as error:  # noqa: BLE001 - whatever it is, the readers must hear of it
            flight.end(error)
        except asyncio.CancelledError:
            flight.end(BrokenError("given up"))
            raise
        finally:
            if self._running.get(key) is flight:
                del self._running[key]

    async def close(self) -> None:
        """Give up what runs."""
        tasks = [flight.task for flight in self._running.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
