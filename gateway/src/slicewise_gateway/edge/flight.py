"""Single flight: an answer that is on its way, and the requests that read it while it comes.

The first of some equal requests starts it, the others join; it runs as long as anyone reads, whoever began it. An answer that
outgrows what may be stored accepts no more readers and keeps only what its slowest reader still has to read.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from slicewise_gateway.edge.body import Body

_BEHIND_BYTES: Final = 1 << 20
"""A reader may be so far behind once an answer is too large to be kept whole."""

_SPARE_BYTES: Final = 64 << 10
_PART_BYTES: Final = 64 << 10
_FAILED: Final = 500

_PATIENCE_SECONDS: Final = 5.0
"""So long does one reader hold up the others."""


@dataclass(frozen=True, slots=True)
class Head:
    """What an answer begins with."""

    status: int
    headers: Mapping[str, str]
    outcome: str
    """hit, miss or bypass, for who started the flight."""

    @property
    def failed(self) -> bool:
        """Whether asking once more may help."""
        return self.status >= _FAILED


class Kept:
    """The bytes of all answers in memory: answers that arrive, that clients still read, that are looked up."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self.taken = 0

    @property
    def is_full(self) -> bool:
        """Whether no more is to be kept."""
        return self.taken > self._max_bytes

    @contextmanager
    def room(self, size: int) -> Iterator[bool]:
        """Reserve this many bytes until the block is left, if they fit; return whether they do."""
        fits = self.taken + size <= self._max_bytes
        self.taken += size * fits
        try:
            yield fits
        finally:
            self.taken -= size * fits


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

    def __init__(self, keep_bytes: int, kept: Kept) -> None:
        self._keep_bytes = keep_bytes
        self._kept = kept
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
        self.body = Body()
        """What is asked, until it was sent."""
        self._spare = Body()
        """The same, from one who has joined: with it the others ask once more where this one fails."""

    def offer(self, body: Body) -> None:
        """Take in the body of one who has joined; one small body is kept until the answer has begun well."""
        if self._spare.data or len(body.data) > _SPARE_BYTES or not (self.head is None or self.head.failed):
            body.let_go()
        else:
            self._spare = body

    def spare(self) -> Body:
        """Return the body to repeat the request with; empty if it is missing or another reader has taken it."""
        return self._spare.move()

    def begin(self, head: Head) -> None:
        """Take in what the answer begins with."""
        self.head = head
        if not head.failed:
            self._spare.let_go()
        self._tell()

    def fill(self, body: bytes) -> None:
        """Take in a whole answer that was looked up."""
        self._chunks.extend(body[start : start + _PART_BYTES] for start in range(0, len(body), _PART_BYTES))
        self._count(len(body))
        self.end()

    async def write(self, chunk: bytes) -> None:
        """Take in a part; waits while a reader is far behind, then goes on without it if there are others."""
        self._chunks.append(chunk)
        self._count(len(chunk))
        self._tell()
        if self.held_bytes > self._keep_bytes or self._kept.is_full:
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

    def length(self) -> int | None:
        """Return the length of the body for one who has read nothing yet, None where it is not known."""
        return self.held_bytes if self._ended and self.error is None and self._first == 0 else None

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
                yield self._chunks[index]
                reader.position += 1
                self._moved.set()
                if not self.is_open:
                    self._trim()
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
        if not self.is_open:
            self._trim()

    def shut(self) -> None:
        """Accept no more readers: from now on, only what a reader still has to read is kept."""
        self.is_open = False
        self.body.let_go()
        self._spare.let_go()
        self._trim()

    def _count(self, size: int) -> None:
        self.held_bytes += size
        self._kept.taken += size

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _trim(self) -> int:
        """Let go of what all have read; return the bytes that are left."""
        slowest = min((reader.position for reader in self._readers), default=self._first + len(self._chunks))
        while self._first < slowest and self._chunks:
            self._count(-len(self._chunks.popleft()))
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
        self.kept = Kept(all_bytes)
        self._running: dict[str, Flight] = {}

    def join(self, key: str, fly: Callable[[Flight], Awaitable[None]]) -> tuple[Flight, Reader, bool]:
        """Return the flight for `key`, a reader of it, and whether it was started for this one.

        `fly` fills a new flight; what it raises ends it. The flight is known until `fly` is done, so who comes while the answer is
        being stored still reads it here, and who comes later finds it in the store.
        """
        if self.has(key):
            flight = self._running[key]
            return flight, flight.join(), False
        flight = Flight(self._keep_bytes, self.kept)
        self._running[key] = flight
        reader = flight.join()
        flight.task = asyncio.create_task(self._run(flight, fly))
        # Not in the task: one that is cancelled before its first step runs no line of it.
        flight.task.add_done_callback(lambda _: self._done(key, flight))
        return flight, reader, True

    def has(self, key: str) -> bool:
        """Whether there is a flight for `key` that takes others in."""
        flight = self._running.get(key)
        return flight is not None and flight.is_open and flight.error is None

    def _done(self, key: str, flight: Flight) -> None:
        if self._running.get(key) is flight:
            del self._running[key]
        flight.shut()

    async def _run(self, flight: Flight, fly: Callable[[Flight], Awaitable[None]]) -> None:
        try:
            await fly(flight)
        except Exception as error:  # noqa: BLE001 - whatever it is, the readers must hear of it
            flight.end(error)
        except asyncio.CancelledError:
            flight.end(BrokenError("given up"))
            raise

    async def close(self) -> None:
        """Give up what runs."""
        tasks = [flight.task for flight in self._running.values() if flight.task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
