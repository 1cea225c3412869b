"""`GET /jobs/ID/events`: the states of a job as they change, until it has ended, as server-sent events or over a WebSocket.

Dispatchers tell the hub of changes of the jobs that clients follow, and of no others. What no dispatcher tells of, such as a deadline that
passed, is found by one query for all streams of this API each few seconds.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web

from slicewise_jobs.decisions.body import RefusedError, read_id, read_tenant
from slicewise_jobs.decisions.states import FINAL
from slicewise_jobs.http.errors import error_response
from slicewise_jobs.http.jobs import TENANT_HEADER, Jobs, not_there
from slicewise_jobs.http.sockets import serve_socket, wants_socket
from slicewise_jobs.http.views import show_job
from slicewise_jobs.store.read import Job, find, standings
from slicewise_jobs.store.trouble import StoreError

LAST_EVENT: Final = "last_event_id"
"""The only parameter."""
_ALIVE_SECONDS: Final = 15.0
_SWEEP_SECONDS: Final = 5.0
_WRITE_SECONDS: Final = 30.0


@dataclass(slots=True, eq=False)
class _Stream:
    job_id: bytes
    seen: str
    """The id of the last event that the client has."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Events:
    """All streams of this API."""

    def __init__(self, jobs: Jobs, *, most: int, of_tenant: int) -> None:
        self._database = jobs.database
        self._pool = jobs.pool
        self._hub = jobs.hub
        self._watch = jobs.watch
        self._metrics = jobs.metrics
        self._most = most
        self._of_tenant = of_tenant
        self._streams: defaultdict[bytes, set[_Stream]] = defaultdict(set)
        self._tenants: Counter[str] = Counter()
        self._ended = False
        self._hub.on_change = self.changed

    def changed(self, job_id: bytes) -> None:
        """Let the streams of a job look at it."""
        for stream in self._streams.get(job_id, ()):
            stream.changed.set()

    def end(self) -> None:
        """End all streams: clients connect again, to another API."""
        self._ended = True
        for job_id in list(self._streams):
            self.changed(job_id)

    async def sweep(self) -> None:
        """Look after what no dispatcher tells of, again and again."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            if not self._streams:
                continue
            with suppress(StoreError):
                now = await standings(self._database, list(self._streams))
                for job_id, streams in list(self._streams.items()):
                    if any(stream.seen != now.get(job_id) for stream in streams):
                        self.changed(job_id)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """`GET /jobs/ID/events`."""
        self._watch.check(request.method)
        seen = _seen(request)
        tenant, job_id = read_tenant(request.headers.get(TENANT_HEADER)), read_id(request.match_info["id"])
        if job_id is None or await find(self._database, self._pool, tenant, job_id, result=False) is None:
            return not_there(request)
        if self._tenants.total() >= self._most or self._tenants[tenant] >= self._of_tenant:
            words = f"This tenant has {self._tenants[tenant]} streams of events; {self._of_tenant} are allowed, and {self._most} of all."
            return error_response(429, "too_many_streams", words, headers={"Retry-After": "10"})
        stream = _Stream(job_id, seen)
        with self._followed(tenant, stream):
            return await self._serve(request, tenant, stream)

    @contextmanager
    def _followed(self, tenant: str, stream: _Stream) -> Iterator[None]:
        self._tenants[tenant] += 1
        self._streams[stream.job_id].add(stream)
        self._hub.follow(stream.job_id)
        self._metrics.streams.set(self._tenants.total())
        try:
            yield
        finally:
            self._tenants -= Counter({tenant: 1})
            self._streams[stream.job_id].discard(stream)
            if not self._streams[stream.job_id]:
                del self._streams[stream.job_id]
                self._hub.unfollow(stream.job_id)
            self._metrics.streams.set(self._tenants.total())

    async def _serve(self, request: web.Request, tenant: str, stream: _Stream) -> web.StreamResponse:
        job = await self._look(tenant, stream)
        if wants_socket(request):
            changes = self._changes(tenant, stream, job)
            texts = (_as_message(each) async for each in changes if each)
            return await serve_socket(request, texts, whole=lambda: not self._ended)
        if job and job.state in FINAL and job.event == stream.seen:
            # What makes a browser stop: it has had the last event.
            return web.Response(status=204)
        headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        with suppress(ConnectionError):  # The client has gone.
            async for each in self._changes(tenant, stream, job):
                async with asyncio.timeout(_WRITE_SECONDS):
                    await response.write(_as_event(each) if each else b": still here\n\n")
        return response

    async def _changes(self, tenant: str, stream: _Stream, job: Job | None) -> AsyncIterator[Job | None]:
        """Yield the job in each state that the client has not seen, and None every few seconds without any."""
        while job and not self._ended:
            if job.event != stream.seen:
                stream.seen = job.event
                yield job
            if job.state in FINAL:
                return
            try:
                async with asyncio.timeout(_ALIVE_SECONDS):
                    await stream.changed.wait()
            except TimeoutError:
                yield None
                continue
            try:
                job = await self._look(tenant, stream)
            except StoreError as error:
                # The next sweep finds what has changed.
                self._watch.note(error.finding)

    async def _look(self, tenant: str, stream: _Stream) -> Job | None:
        stream.changed.clear()
        found = await find(self._database, self._pool, tenant, stream.job_id, result=False)
        return found[0] if found else None

    def add_to(self, app: web.Application) -> None:
        """Serve this path."""
        app.router.add_get("/jobs/{id}/events", self.serve, allow_head=False)


def _seen(request: web.Request) -> str:
    """Return the id of the last event that a client has. Raises RefusedError.

    A browser's WebSocket can send no header. Its EventSource sends one when it connects again, which is newer than the parameter then.
    """
    for name in request.query:
        if name != LAST_EVENT:
            raise RefusedError(f"There is no parameter '{name[:80]}'.", code="unknown_parameter", param=name[:80])
    return request.headers.get("Last-Event-ID", request.query.get(LAST_EVENT, ""))[:64]


def _as_event(job: Job) -> bytes:
    return f"id: {job.event}\nevent: status\ndata: {json.dumps(show_job(job))}\n\n".encode()


def _as_message(job: Job) -> str:
    return json.dumps({"id": job.event, "event": "status", "data": show_job(job)})
