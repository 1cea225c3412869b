"""One fetch from start to end: look into the cache, wait for another pod's download, or download."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import ParamSpec

import structlog

from slicewise_worker.read_back import ReadBack
from slicewise_worker.weights import cache
from slicewise_worker.weights.backoff import Patience
from slicewise_worker.weights.claim import verify_on_claim
from slicewise_worker.weights.disk import keep_free_bytes
from slicewise_worker.weights.download import Download, persist
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.evict import Want, make_room
from slicewise_worker.weights.origins.location import Origin
from slicewise_worker.weights.origins.of import origin_for
from slicewise_worker.weights.partial import CorruptError, Partial, reserved_bytes
from slicewise_worker.weights.pins import LiveSet, read_live, record_pin
from slicewise_worker.weights.progress import Progress
from slicewise_worker.weights.report import Result
from slicewise_worker.weights.settings import Credentials, FetchSettings
from slicewise_worker.weights.source import ClaimSource, Source, is_pinned, label, parse_source
from slicewise_worker.weights.transport import Transport

log = structlog.get_logger(__name__)

_LOOK_AGAIN_SECONDS = 0.5
P = ParamSpec("P")


async def fetch(
    settings: FetchSettings,
    credentials: Credentials,
    progress: Progress,
    beside: LiveSet = LiveSet(),  # noqa: B008 - frozen
    field: str = "spec.model.digest",
) -> Result:
    """Bring the weights and verify them. Raises `FetchError`.

    `beside`: what the same worker needs too, and must not be evicted. `field`: of the pool, that names the digest.
    """
    source = parse_source(settings.source, allow_private=settings.allow_private)
    if isinstance(source, ClaimSource):
        digest = settings.digest or _no_digest(settings.source, field)
        return await asyncio.to_thread(verify_on_claim, source, settings.claim_dir, digest, progress, field)
    async with Transport(
        allow_private=settings.allow_private,
        stall_seconds=settings.stall_seconds,
        ca_file=credentials.ca_file,
        proxies=settings.proxies,
    ) as transport:
        origin = origin_for(source, transport, credentials)
        patience = Patience(settings.patience_seconds, settings.max_backoff_seconds)
        digest = await _digest(settings, source, origin, patience, progress) or _no_digest(settings.source, field)
        live = await asyncio.to_thread(_live_set, settings, digest, beside)
        await _noted("pin of this pool", record_pin, settings.cache_dir, settings.pool, live)
        return await _Fetch(settings, origin, transport, patience, progress, digest, live).run()


async def pin(settings: FetchSettings, live: LiveSet) -> None:
    """Record for other pools what must not be evicted: `live`, and what is live of this pool."""
    if not isinstance(parse_source(settings.source, allow_private=settings.allow_private), ClaimSource):
        own = await asyncio.to_thread(read_live, settings.live_file)
        both = LiveSet(own.digests | live.digests, own.sources | live.sources, own.unreadable)
        await _noted("pin of this pool", record_pin, settings.cache_dir, settings.pool, both)


async def _noted(what: str, write: Callable[P, None], *args: P.args, **names: P.kwargs) -> None:
    """Keep the cache's books. Weights that are there must start a worker also where the disk has no room for a note."""
    try:
        await asyncio.to_thread(write, *args, **names)
    except (OSError, FetchError) as error:
        log.warning("note in the cache not written", note=what, error=str(error))


def _no_digest(source: str, field: str) -> str:
    raise FetchError(Reason.UNSUPPORTED, f"{label(source)}: has no digest of its own; set {field} to sha256:…")


async def _digest(
    settings: FetchSettings, source: Source, origin: Origin, patience: Patience, progress: Progress
) -> str | None:
    """The digest to fetch: the one set, else the one verified before for a pinned source, else what the source says."""
    if settings.digest:
        return settings.digest
    if is_pinned(source) and (
        known := await asyncio.to_thread(cache.digest_of, settings.cache_dir, label(settings.source))
    ):
        return known
    location = await persist(origin.locate, patience, progress, label(settings.source))
    return location.digest


def _live_set(settings: FetchSettings, digest: str, beside: LiveSet) -> LiveSet:
    live = read_live(settings.live_file)
    digests = live.digests | beside.digests | {digest}
    return LiveSet(digests, live.sources | beside.sources | {label(settings.source)}, live.unreadable)


@dataclass(frozen=True, slots=True)
class _Fetch:
    settings: FetchSettings
    origin: Origin
    transport: Transport
    patience: Patience
    progress: Progress
    digest: str
    live: LiveSet

    async def run(self) -> Result:
        """Look, and download when it is our turn, until the verified file is there."""
        entry = cache.entry_of(self.settings.cache_dir, self.digest)
        while True:
            found = await asyncio.to_thread(cache.look, entry, self.progress)
            try:
                if found.state is cache.State.VERIFIED:
                    return await self._give_out(entry, found.size, found.read_back)
                if found.state is not cache.State.BUSY and await self._download(entry, found.state):
                    return await self._give_out(entry, entry.model.stat().st_size)
            finally:
                found.close()
            await self._wait(entry)

    async def _give_out(self, entry: cache.Entry, size: int, noted: ReadBack | None = None) -> Result:
        await _noted("last use", cache.note_use, self.settings.cache_dir, self.digest, label(self.settings.source))
        return Result(str(entry.model), self.digest, size, read_back=noted)

    async def _wait(self, entry: cache.Entry) -> None:
        """Another process downloads or removes this entry: show its progress, and look again soon."""
        done, total = await asyncio.to_thread(reserved_bytes, entry.folder)
        self.progress.at(done, total)
        self.progress.say("Waiting", f"{self.digest}: another pod is downloading it into the same cache")
        await asyncio.sleep(_LOOK_AGAIN_SECONDS)

    async def _download(self, entry: cache.Entry, state: cache.State) -> bool:
        """Download if no other process does. False: check again, another process was first."""
        async with self._locked(entry) as partial:
            if partial is None:
                return False
            if state is cache.State.CORRUPT:
                log.warning("cached file has changed on disk: fetching it again", digest=self.digest)
                entry.model.unlink(missing_ok=True)
            elif entry.model.exists():
                await asyncio.to_thread(partial.discard)
                return False
            return await self._fill(partial)

    @asynccontextmanager
    async def _locked(self, entry: cache.Entry) -> AsyncIterator[Partial | None]:
        partial = await asyncio.to_thread(Partial.try_lock, entry.folder, self.settings.checkpoint_bytes)
        try:
            yield partial
        finally:
            if partial:
                partial.close()

    async def _fill(self, partial: Partial) -> bool:
        async def room(size: int, reserve: Callable[[], None]) -> None:
            limit = self.settings.cache_size_limit
            # An emptyDir without a limit is the node's own disk. A claim has a file with its live models, and is all its own.
            shared = limit is None and self.settings.live_file is None
            spare = keep_free_bytes(self.settings.cache_dir) if shared else 0
            want = Want(self.digest, size, partial.size, spare)
            await asyncio.to_thread(make_room, self.settings.cache_dir, limit, want, self.live, reserve)

        download = Download(
            source=label(self.settings.source),
            origin=self.origin,
            digest=self.digest,
            partial=partial,
            transport=self.transport,
            patience=self.patience,
            progress=self.progress,
            make_room=room,
            checkpoint_bytes=self.settings.checkpoint_bytes,
            digest_attempts=self.settings.digest_attempts,
            stall_seconds=self.settings.stall_seconds,
            wrong=[],
        )
        await download.run()
        try:
            await asyncio.to_thread(partial.publish)
        except CorruptError as error:
            log.warning("downloaded file is corrupt: starting over", digest=self.digest, error=error.message)
            return False
        return True
