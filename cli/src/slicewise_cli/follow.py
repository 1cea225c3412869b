"""List and watch: a collection of objects now and at each change. Survives expired versions and restarts of the API server."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

import aiohttp

from slicewise.clients.kube import ApiError, UnreachableError
from slicewise.clients.resources import Resource
from slicewise_cli.kube import Cluster, Object

_WATCH_SECONDS: Final = 240
"""Longest duration of one watch; a dead connection is noticed half a minute after it."""
_LONGEST_EVENT: Final = 16 << 20
"""Maximum size of one event in bytes; by default etcd stores objects of up to 1.5 MiB."""
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """All current objects of the collection."""

    items: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Lost:
    """The API server does not answer, so the last `Seen` may be outdated. `follow` retries."""

    message: str


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The user may not list or watch the collection. Ends the stream."""

    message: str


Sight = Seen | Lost | Forbidden


class _ExpiredError(Exception):
    """The API server no longer has the resourceVersion to continue from: list again."""


async def follow(
    cluster: Cluster, kind: Resource, namespace: str | None, query: Mapping[str, str]
) -> AsyncIterator[Sight]:
    """Yield the collection now and at each change, without end. Raises ApiError for errors that a retry cannot change."""
    pause = _FIRST_PAUSE
    while True:
        try:
            async for seen in _list_and_watch(cluster, kind.path(namespace), query):
                pause = _FIRST_PAUSE
                yield seen
        except _ExpiredError:
            continue
        except ApiError as error:
            if error.code == 403:
                yield Forbidden(error.message)
                return
            # 401: a starting server cannot check tokens yet
            if not error.passing and error.code != 401:
                raise
            yield Lost(error.message)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            yield Lost(str(error) or type(error).__name__)
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


async def _list_and_watch(cluster: Cluster, path: str, query: Mapping[str, str]) -> AsyncIterator[Seen]:
    listed = await cluster.kube.get_path(f"{path}?{urlencode(query)}")
    if listed is None:
        raise ApiError(404, "NotFound", f"the server has no {path.rpartition('/')[2]}")
    items = {item["metadata"]["uid"]: item for item in listed.get("items") or ()}
    version = str(listed["metadata"]["resourceVersion"])
    yield Seen(tuple(items.values()))
    while True:
        async for kind, body in _events(cluster, path, {**query, "resourceVersion": version}):
            version = str(body["metadata"]["resourceVersion"])
            if kind == "BOOKMARK":
                continue
            if kind == "DELETED":
                items.pop(body["metadata"]["uid"], None)
            else:
                items[body["metadata"]["uid"]] = body
            yield Seen(tuple(items.values()))


async def _events(cluster: Cluster, path: str, query: Mapping[str, str]) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Yield (type, object) until the server ends the watch."""
    asked = {**query, "watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(_WATCH_SECONDS)}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_WATCH_SECONDS + 30)
    async with cluster.session.get(
        cluster.server + path,
        params=asked,
        headers={"Accept-Encoding": "identity"},
        timeout=timeout,
        read_bufsize=2**20,
        allow_redirects=False,
    ) as answer:
        if answer.status == 410:
            raise _ExpiredError
        if answer.status >= 300:
            said = (await answer.content.read(1024)).decode(errors="replace")
            raise ApiError(answer.status, answer.reason or "Unknown", said[:256])
        buffer = b""
        async for chunk in answer.content.iter_any():
            *lines, buffer = (buffer + chunk).split(b"\n")
            if len(buffer) > _LONGEST_EVENT:
                raise UnreachableError(f"an event of {path} is larger than {_LONGEST_EVENT} bytes")
            for line in lines:
                yield _event(json.loads(line))


def _event(event: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    kind, body = event["type"], event["object"]
    if kind == "ERROR":
        if body.get("code") == 410:
            raise _ExpiredError
        raise ApiError(int(body.get("code") or 500), str(body.get("reason")), str(body.get("message")))
    return kind, body


@contextlib.asynccontextmanager
async def together(*streams: AsyncIterator[Sight]) -> AsyncIterator[asyncio.Queue[tuple[int, Sight | Exception]]]:
    """Follow several collections at once. Returns a queue of (index of the stream, its update or its exception)."""
    queue: asyncio.Queue[tuple[int, Sight | Exception]] = asyncio.Queue(maxsize=64)

    async def pump(index: int, stream: AsyncIterator[Sight]) -> None:
        try:
            async for sight in stream:
                await queue.put((index, sight))
        except Exception as error:  # noqa: BLE001 - the reader of the queue raises it again
            await queue.put((index, error))

    tasks = [asyncio.create_task(pump(index, stream)) for index, stream in enumerate(streams)]
    try:
        yield queue
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
