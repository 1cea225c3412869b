"""What passes through kopf's HTTP session: whole watch lines only, complete lists noticed, a sign of life a chunk.

kopf reads lists and watches by itself and tells handlers of single objects. Three things are then out of sight: when a
list was complete, what had vanished while a watch was broken (a new list simply lacks it), and bookmarks. A middleware
of the session sees them and tells a `StreamObserver`. It also keeps two things away from kopf 1.45 that end the process: a
line cut in its middle, and an ERROR event with another code than 410; both become an ordinary end of the stream.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any, Final, Protocol, TypeAlias

import aiohttp

Middleware: TypeAlias = aiohttp.ClientMiddlewareType

_GONE: Final = json.dumps(
    {"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410}}
).encode()


class StreamObserver(Protocol):
    """Told of what kopf's handlers do not see. Paths are URL paths of collections."""

    def alive(self, path: str) -> None:
        """A list or a watch was asked for, or a watch brought something: an event, a bookmark."""

    def listed(self, path: str, resource_version: str, uids: frozenset[str]) -> None:
        """A list is complete: these objects exist at `resource_version`, and no others. Comes before their events."""


def watch_middleware(observer: StreamObserver) -> Middleware:
    """Return the middleware for the session that kopf uses."""
    pages: dict[str, set[str]] = {}

    async def middleware(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        path, query = request.url.path, request.url.query
        observer.alive(path)
        response = await handler(request)
        if request.method != "GET" or response.status != 200:
            return response
        if query.get("watch") == "true":
            # aiohttp reads `content` only through methods that the wrapper passes on.
            response.content = _WholeLines(response.content, path, observer)  # type: ignore[assignment]
        elif "limit" in query:
            await _note_page(response, path, "continue" in query, pages, observer)
        return response

    return middleware


async def _note_page(
    response: aiohttp.ClientResponse, path: str, continued: bool, pages: dict[str, set[str]], observer: StreamObserver
) -> None:
    page: dict[str, Any] = await response.json()

    async def parsed(*_: object, **__: object) -> dict[str, Any]:
        return page

    # kopf asks for the same JSON next: parsed once, held once.
    response.json = parsed  # type: ignore[method-assign]
    response._body = b""  # the text of a page is as large as the page
    uids = pages.get(path, set()) if continued else set()
    uids.update(item["metadata"]["uid"] for item in page.get("items") or ())
    pages[path] = uids
    metadata = page.get("metadata") or {}
    observer.alive(path)
    if not metadata.get("continue"):
        observer.listed(path, metadata.get("resourceVersion", ""), frozenset(pages.pop(path)))


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
            if b'"type":"ERROR"' in head:
                for line in head.split(b"\n"):
                    yield (_GONE if line.startswith(b'{"type":"ERROR"') else line) + b"\n"
            else:
                yield head + b"\n"
