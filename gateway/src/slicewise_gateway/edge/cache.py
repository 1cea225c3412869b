"""The response cache over HTTP: looks up, joins what runs, or sends on; and stores what came whole."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web
from multidict import CIMultiDict

from slicewise_gateway.edge.body import Body, Budget, read_shared
from slicewise_gateway.edge.entry import Entry, is_whole
from slicewise_gateway.edge.errors import error_response
from slicewise_gateway.edge.flight import BrokenError, Flight, Flights, Head, Reader
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.edge.relay import relay, stream, unreachable
from slicewise_gateway.edge.request import (
    CACHE_HEADER,
    HELD_HEADER,
    PRIORITY_HEADER,
    REVISION_HEADER,
    TENANT_HEADER,
    TIMEOUT_HEADER,
    MalformedError,
    Scope,
    WishError,
    cache_key,
    cacheable,
    digest_of,
    read_wish,
    time_left,
)
from slicewise_gateway.edge.runtime import Runtime, RuntimeFile
from slicewise_gateway.edge.store import Store, Unavailable
from slicewise_gateway.edge.upstream import SEND_ERRORS, Upstream, response_headers

_FLIGHTS: Final = 2
"""How many answers a request waits for that others began and that failed; so a crowd never asks more often than this."""

_KEPT_BYTES: Final = 64 << 20
"""Of all answers until their last reader has left: beyond that nothing is looked up, shared or stored."""

_SMALL_BYTES: Final = 1024
"""A request may become longer than its client wrote it (1e5 is 100000.0) up to this, which every pool takes."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that may be answered from the cache."""

    path: str
    headers: Mapping[str, str]
    body: Body
    started: float
    """When it came, by the loop's clock."""
    digest: bytes
    """Of the body, which is let go once it was sent."""
    scope: Scope
    runtime: Runtime
    first_key: str
    """The key that is looked up. Who answers is Envoy's choice, and may be another revision than that of this key."""

    @property
    def together(self) -> str:
        """The key of requests that wait for one answer. What is behind others in the workers is joined by none that is not."""
        return f"{self.first_key}:{self.headers.get(PRIORITY_HEADER, '')}"

    def key(self, revision: str) -> str | None:
        """Return the key of this revision's answer; None for a revision whose answers cannot be told apart."""
        answers = self.runtime.answers.get(revision)
        return None if answers is None else cache_key(self.scope, revision, answers, self.path, self.digest)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the cache may hold of requests, in bytes: of one, and of all together."""

    max_body_bytes: int
    max_bytes: int


class Cache:
    """Handles the requests that Envoy sends here first. `pool`: namespace and name."""

    def __init__(
        self, pool: str, runtime: RuntimeFile, store: Store, upstream: Upstream, metrics: EdgeMetrics, bounds: Bounds
    ) -> None:
        self._pool = pool
        self._runtime = runtime
        self._store = store
        self._upstream = upstream
        self._metrics = metrics
        self._max_body_bytes = bounds.max_body_bytes
        self._budget = Budget(bounds.max_bytes)
        self._flights = Flights(store.max_bytes, _KEPT_BYTES)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            wish = read_wish(request.headers.get(CACHE_HEADER))
        except WishError as error:
            return self._refuse(request, "invalid_header", error)
        started = asyncio.get_running_loop().time()
        body = await read_shared(request, self._budget, self._max_body_bytes)
        try:
            form = None if request.query_string else cacheable(body.data, wish)
            asked = None if form is None else self._asked(request, body, form, started)
            if asked is not None and (self._flights.has(asked.together) or not self._flights.kept.is_full):
                return await self._from_flight(request, asked)
            self._metrics.answers.labels("bypass").inc()
            return await relay(request, self._upstream, body, started, {CACHE_HEADER: "bypass"})
        except MalformedError as error:
            return self._refuse(request, "invalid_json", error)
        finally:
            body.let_go()

    def _refuse(self, request: web.Request, code: str, error: Exception) -> web.Response:
        self._metrics.malformed.inc()
        return error_response(400, code, str(error), {CACHE_HEADER: "bypass"}, request=request)

    async def close(self) -> None:
        """Give up what runs."""
        await self._flights.close()

    def _asked(self, request: web.Request, body: Body, form: bytes, started: float) -> _Asked | None:
        """Return what is looked up, and let the body become its canonical form; None where nothing is looked up."""
        runtime = self._runtime.current()
        # Spreads load; predicting it gains a client nothing.
        revision = runtime.draw(random.random())  # noqa: S311
        if revision is None or runtime.ttl_seconds is None or revision not in runtime.answers:
            return None
        if len(form) > max(len(body.data), _SMALL_BYTES):
            return None
        body.become(form)
        scope = Scope(self._pool, request.headers.get(TENANT_HEADER))
        digest = digest_of(form)
        first_key = cache_key(scope, revision, runtime.answers[revision], request.path, digest)
        return _Asked(request.path, request.headers, body, started, digest, scope, runtime, first_key)

    async def _from_flight(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        key, together, body = asked.first_key, asked.together, asked.body
        for turn in range(1, _FLIGHTS + 1):
            flight, reader, mine = self._flights.join(together, lambda new: self._fly(new, key, asked))
            if mine:
                flight.body = body.move()
            else:
                flight.offer(body.move())
            try:
                head = await _head(flight)
                if not mine and turn < _FLIGHTS and (head is None or head.failed):
                    body = flight.spare()
                    # Without a body only who finds another flight can ask again.
                    if body.data or self._flights.has(together):
                        continue
                if head is None:
                    return unreachable(request)
                self._metrics.answers.labels(head.outcome if mine else "shared").inc()
                return await _answer(request, flight, reader, head, mine=mine)
            finally:
                flight.leave(reader)
        raise AssertionError("the last turn returns")

    async def _fly(self, flight: Flight, key: str, asked: _Asked) -> None:
        found = await self._store.get(key, self._flights.kept)
        if isinstance(found, Entry):
            flight.body.let_go()
            age = str(max(0, int(time.time() - found.stored)))
            headers = {**found.headers, REVISION_HEADER: found.revision, "age": age}
            flight.begin(Head(200, headers, "hit"))
            flight.fill(found.body)
            return
        self._metrics.upstream.inc()
        outcome = "bypass" if isinstance(found, Unavailable) else "miss"
        left = time_left(asked.headers.get(TIMEOUT_HEADER), asyncio.get_running_loop().time() - asked.started)
        async with self._upstream.send(
            asked.path, asked.headers, flight.body, content_type="application/json", **left
        ) as answer:
            given = response_headers(answer)
            flight.begin(Head(answer.status, given, outcome))
            async for chunk in answer.content.iter_any():
                await flight.write(chunk)
        flight.end()
        await self._keep(flight, {name.lower(): value for name, value in given.items()}, asked)

    async def _keep(self, flight: Flight, headers: Mapping[str, str], asked: _Asked) -> None:
        """Store an answer under the revision that gave it, unless it must not be given again."""
        body, revision = flight.whole(), headers.get(REVISION_HEADER, "")
        key = asked.key(revision)
        if flight.head is None or flight.head.status != 200:
            reason = "status"
        elif body is None or len(body) > self._store.max_bytes:
            reason = "large"
        elif "content-encoding" in headers or not is_whole(headers.get("content-type", ""), body):
            reason = "broken"
        elif key is None or HELD_HEADER in headers or asked.runtime.ttl_seconds is None:
            reason = "revision"
        else:
            entry = Entry.of(headers, revision, time.time(), body)
            await self._store.put(key, entry, asked.runtime.ttl_seconds, self._flights.kept)
            return
        self._metrics.not_stored.labels(reason).inc()


async def _head(flight: Flight) -> Head | None:
    """Return what an answer begins with, None where none came."""
    try:
        return await flight.started()
    except (BrokenError, *SEND_ERRORS):
        return None


async def _answer(
    request: web.Request, flight: Flight, reader: Reader, head: Head, *, mine: bool
) -> web.StreamResponse:
    headers = CIMultiDict(head.headers)
    # For the client, an answer that another client has requested is a hit.
    headers[CACHE_HEADER] = head.outcome if mine else "hit"
    length = flight.length()
    if length is not None:
        headers["content-length"] = str(length)
    return await stream(request, head.status, headers, flight.read(reader))
