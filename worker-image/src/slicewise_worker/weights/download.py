"""From an origin into a locked partial file, until every byte is there and the digest is right.

Correct before fast: one connection, bytes hashed in the order they come. What is kept over a failed try is only what the
server's validators (ETag, date, size) say is still the same file.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial as bind
from typing import TypeVar

import aiohttp
import structlog

from slicewise_worker.weights.answers import trouble
from slicewise_worker.weights.backoff import Patience
from slicewise_worker.weights.bounded import LEAST_BYTES, paced
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown
from slicewise_worker.weights.origins.location import Location, Origin
from slicewise_worker.weights.partial import CorruptError, Partial, Validators
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.transport import Transport

log = structlog.get_logger(__name__)

_WRITE_BYTES = 2 * 1024**2
_RANGE = re.compile(r"bytes (?P<first>[0-9]{1,18})-(?P<last>[0-9]{1,18})/(?P<total>[0-9]{1,18}|\*)")
_NO_RANGE = re.compile(r"bytes \*/(?P<total>[0-9]{1,18})")

T = TypeVar("T")

MakeRoom = Callable[[int, Callable[[], None]], Awaitable[None]]
"""Sees to it that a file of that many bytes fits and, before anybody else may count, calls the second argument, which
notes the reservation. Raises `FetchError` (CacheFull, DiskFull)."""


async def persist(tries: Callable[[], Awaitable[T]], patience: Patience, progress: Progress, source: str) -> T:
    """Call `tries` until it succeeds, a `FetchError` says that it cannot, or patience is over."""
    while True:
        try:
            return await tries()
        except TryAgainError as passing:
            delay = patience.next_delay(passing.after)
            if delay is None:
                raise FetchError(
                    passing.reason, f"{source}: given up after many tries; the last one: {passing.message}"
                ) from passing
            progress.trouble(passing.reason, f"{passing.message}; trying again", delay)
            await asyncio.sleep(delay)


@dataclass(slots=True)
class Download:
    """One download: what, into what, and what it may use."""

    source: str
    origin: Origin
    digest: str
    partial: Partial
    transport: Transport
    patience: Patience
    progress: Progress
    make_room: MakeRoom
    checkpoint_bytes: int
    digest_attempts: int
    stall_seconds: float
    wrong: list[str]
    fresh: int = 0
    """Bytes that came since patience was renewed last."""

    async def run(self) -> None:
        """Fill the partial file. When this returns, its digest is the wanted one.

        Raises `FetchError`; after DigestMismatch, DiskFull, CacheFull and Unsupported the partial file is removed.
        """
        try:
            kept = await asyncio.to_thread(self.partial.resume)
            if kept:
                log.info("download resumed", source=self.source, bytes_done=kept)
            while wrong := await self._fill():
                await self._start_over(wrong)
        except FetchError as error:
            if error.reason in {Reason.DIGEST_MISMATCH, Reason.DISK_FULL, Reason.CACHE_FULL, Reason.UNSUPPORTED}:
                await asyncio.to_thread(self.partial.discard)
            raise

    async def _fill(self) -> CorruptError | None:
        """Fetch to the end; what was wrong with the bytes, None when they are right."""
        try:
            await persist(self._try_once, self.patience, self.progress, self.source)
        except CorruptError as error:
            return error
        found = self.partial.digest()
        if found == self.digest:
            return None
        return CorruptError(f"the bytes that came have {found}, wanted is {self.digest}", found)

    async def _start_over(self, error: CorruptError) -> None:
        """Nothing of the file is kept. The same wrong bytes twice are the source's, not the line's."""
        await asyncio.to_thread(self.partial.restart)
        same_again = error.found in self.wrong
        self.wrong.append(error.found)
        if same_again or len(self.wrong) >= self.digest_attempts:
            step = "the source holds another file: correct the digest or the source" if same_again else "check the line"
            raise FetchError(
                Reason.DIGEST_MISMATCH, f"{self.source}: {error.message} (tried {len(self.wrong)} times); {step}"
            ) from error
        self.progress.trouble(Reason.DIGEST_MISMATCH, f"{self.source}: {error.message}; fetching all of it again")

    async def _try_once(self) -> None:
        location = await self.origin.locate()
        if location.digest and location.digest != self.digest:
            raise FetchError(
                Reason.DIGEST_MISMATCH,
                f"{self.source}: the source says {location.digest}, wanted is {self.digest}; correct the digest or the source",
            )
        headers = {}
        if self.partial.size:
            headers["Range"] = f"bytes={self.partial.size}-"
            if condition := self.partial.validators.condition():
                headers["If-Range"] = condition
        async with self.transport.request(location.url, headers=headers, auth=location.auth) as response:
            if response.status == 416:
                await self._past_the_end(response)
                return
            if response.status not in {200, 206}:
                raise await trouble(response, now=time.time(), first=location.url)
            await self._read(response, await self._accept(response, location))

    async def _past_the_end(self, response: aiohttp.ClientResponse) -> None:
        """The server has no byte after ours: either we have the whole file, or it is another file now."""
        match = _NO_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if match and int(match["total"]) == self.partial.size:
            return
        await asyncio.to_thread(self.partial.restart)
        raise TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(response.url)}: the file became shorter; starting over")

    async def _accept(self, response: aiohttp.ClientResponse, location: Location) -> int | None:
        """Line the partial file up with what comes. Returns the whole size in bytes, None when the server does not say."""
        said = Validators(response.headers.get("ETag"), response.headers.get("Last-Modified"))
        if response.status == 206:
            match = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            said.total = int(match["total"]) if match and match["total"] != "*" else None
            if not match or int(match["first"]) != self.partial.size or _another_file(self.partial.validators, said):
                await asyncio.to_thread(self.partial.restart)
                raise TryAgainError(
                    Reason.SOURCE_UNREACHABLE, f"{shown(response.url)}: the file changed; starting over"
                )
        else:
            if self.partial.size:
                log.info("server sends the file from its start", source=self.source)
                await asyncio.to_thread(self.partial.restart)
            said.total = response.content_length
        total = said.total = said.total if said.total is not None else location.size
        size = total if total is not None else self.partial.size + self.checkpoint_bytes
        await self.make_room(size, bind(self.partial.reserve, said))
        return total

    async def _read(self, response: aiohttp.ClientResponse, total: int | None) -> None:
        """Copy the body. One write is on its way while the next bytes come in."""
        self.progress.at(self.partial.size, total)
        self.progress.say("Downloading", f"{self.source}: downloading from {shown(response.url.origin())}")
        writing: asyncio.Task[None] | None = None
        waiting = bytearray()
        come = self.partial.size
        try:
            async for piece in paced(response, self.stall_seconds):
                self.progress.came(len(piece))
                come += len(piece)
                if total is not None and come > total:  # room was made for what was announced; no byte more is written
                    raise CorruptError(f"more bytes came than the {total} announced", f"more than {total} bytes")
                self._note(len(piece))
                waiting += piece
                if not self.partial.size and not writing:  # the first bytes show at once whether this is a model at all
                    # Forgotten first: a write that is cancelled goes on in its thread, and must not come a second time.
                    first, waiting = bytes(waiting), bytearray()
                    await self._write(first, total)
                elif len(waiting) >= _WRITE_BYTES:
                    if writing:
                        await writing
                    writing, waiting = asyncio.create_task(self._write(bytes(waiting), total)), bytearray()
        finally:
            # What came before a cut is kept as well. Errors of the writing win over the cut.
            if writing:
                await writing
            if waiting:
                await self._write(bytes(waiting), total)
        if total is not None and self.partial.size < total:
            raise TryAgainError(
                Reason.SOURCE_UNREACHABLE, f"{shown(response.url)}: ended after {self.partial.size} of {total} bytes"
            )

    def _note(self, count: int) -> None:
        """Renew patience once enough has come: a few bytes are no progress."""
        self.fresh += count
        if self.fresh >= LEAST_BYTES:
            self.fresh = 0
            self.patience.progressed()

    async def _write(self, data: bytes, total: int | None) -> None:
        if total is None:
            await self.make_room(self.partial.size + len(data) + self.checkpoint_bytes, lambda: None)
        await asyncio.to_thread(self.partial.append, data)
        self.progress.at(self.partial.size, total)


def _another_file(before: Validators, now: Validators) -> bool:
    """Whether a ranged answer is of another version than what we have: each validator that both name must be equal."""
    pairs = ((before.etag, now.etag), (before.modified, now.modified), (before.total, now.total))
    return any(old is not None and new is not None and old != new for old, new in pairs)
