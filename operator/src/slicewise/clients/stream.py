"""A middleware of kopf's HTTP session: takes in lists, passes on whole watch lines only, and reports signs of life.

kopf reads lists and watches by itself and tells handlers of single objects. Out of sight of handlers are: when a list was
complete, what had vanished while a watch was broken (a new list simply lacks it), and bookmarks. A middleware of the
session sees them and tells a `StreamObserver`. The objects of a list go there too, and kopf gets an empty list: it would
start a task and keep a body for each, of all kinds at once. Two things that end kopf 1.45 are kept away from it: a line
cut in its middle, and an ERROR event with another code than 410; both become an ordinary end of the stream. And the echoes
of our own writes end here: the cache has the answer.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, TypeAlias

import aiohttp

from slicewise.clients.nesting import is_deep, is_deep_value, parse_deep

Middleware: TypeAlias = aiohttp.ClientMiddlewareType

_ANSWER_SECONDS: Final = 0.02
"""For how long events wait for the answer to one of our own writes, which usually arrives just after its event."""
_VERSION: Final = re.compile(rb'"resourceVersion":"(\d+)"')
"""The first one in a line is that of the object: inside strings the quotes would be escaped."""
_BOOKMARK: Final = b'{"type":"BOOKMARK"'
_GONE: Final = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410}}
).encode()


class StreamObserver(Protocol):
    """Receives what kopf's handlers do not see. Paths are URL paths of collections."""

    def alive(self, path: str) -> None:
        """A list or a watch was requested, or a watch delivered an event or a bookmark."""

    def item(self, path: str, body: dict[str, Any]) -> None:
        """An object of a list has arrived."""

    def listed(self, path: str, resource_version: str, uids: set[str]) -> None:
        """A list is complete: exactly these objects exist at `resource_version`."""

    def forbidden(self, path: str) -> None:
        """The API server forbids a list."""

    def writes_in_flight(self) -> bool:
        """Whether answers to our own writes are still outstanding."""

    def is_echo(self, resource_version: str) -> bool:
        """Whether that version is known from the answer to our own write, so that its event says nothing new."""


def watch_middleware(observer: StreamObserver) -> Middleware:
    """Return the middleware for the session that kopf uses."""
    pages: dict[str, set[str]] = {}
    turn = asyncio.Lock()

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        path, query = request.url.path, request.url.query
        observer.alive(path)
        if "limit" in query:
            async with turn:  # one page in memory at a time
                return await _list(request, handler, pages, observer)
        response = await handler(request)
        if request.method != "GET" or response.status != 200:
            return response
        if query.get("watch") == "true":
            # aiohttp reads `content` only through methods that the wrapper passes on.
            response.content = _WholeLines(response.content, path, observer)  # type: ignore[assignment]
        return response

    return middleware


async def _list(
    request: aiohttp.ClientRequest,
    handler: aiohttp.ClientHandlerType,
    pages: dict[str, set[str]],
    observer: StreamObserver,
) -> aiohttp.ClientResponse:
    path = request.url.path
    response = await handler(request)
    if response.status == 403:
        observer.forbidden(path)
    if response.status == 200:
        await _take_page(response, path, "continue" in request.url.query, pages, observer)
    return response


async def _take_page(
    response: aiohttp.ClientResponse, path: str, continued: bool, pages: dict[str, set[str]], observer: StreamObserver
) -> None:
    try:
        page: dict[str, Any] = await response.json()
    except RecursionError:
        page = parse_deep(await response.read())
    items = page.pop("items", None) or ()
    if path.endswith("/controllerrevisions"):
        items = [item for item in items if not is_deep_value(item)]
    uids = pages.setdefault(path, set()) if continued else set()
    for item in items:
        uids.add(item["metadata"]["uid"])
        observer.item(path, item)
    pages[path] = uids
    metadata = page.get("metadata") or {}
    if not metadata.get("continue"):
        observer.listed(path, metadata.get("resourceVersion", ""), pages.pop(path))
    # What kopf reads next is the page without its objects.
    response._body = json.dumps(page).encode()


class _WholeLines:
    """A watch's body that yields whole lines only, and an end of the stream in place of an error.

    kopf reads it with `iter_chunked` and takes each line for one JSON event.
    """

    def __init__(self, content: aiohttp.StreamReader, path: str, observer: StreamObserver) -> None:
        self._content = content
        self._path = path
        self._observer = observer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        rest = b""
        async for data in self._content.iter_chunked(size):
            self._observer.alive(self._path)
            head, newline, tail = (rest + data).rpartition(b"\n")
            rest = tail
            if not newline:
                continue
            if self._observer.writes_in_flight():
                await asyncio.sleep(_ANSWER_SECONDS)
            lines = [line for line in head.split(b"\n") if not self._is_echo(line) and not self._is_too_deep(line)]
            if lines:
                yield b"\n".join(_GONE if line.startswith(b'{"type":"ERROR"') else line for line in lines) + b"\n"

    def _is_too_deep(self, line: bytes) -> bool:
        return self._path.endswith("/controllerrevisions") and is_deep(line)

    def _is_echo(self, line: bytes) -> bool:
        """Whether kopf need not see the line: what it would do with it costs many times what this look costs."""
        version = None if line.startswith(_BOOKMARK) else _VERSION.search(line)
        return version is not None and self._observer.is_echo(version[1].decode())
