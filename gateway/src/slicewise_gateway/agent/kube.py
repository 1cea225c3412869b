"""Following objects through the API server's watch: the whole collection after each change, whatever breaks in between.

Two verbs of a REST interface on a handful of objects: plain aiohttp, so that the gateway pod carries no client library.
"""

from __future__ import annotations

import asyncio
import json
import random
import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import structlog

from slicewise_gateway.bounded import HEADERS, LIST_BYTES, read_whole
from slicewise_gateway.logs import error_text

Objects = Mapping[str, Mapping[str, Any]]
"""Name to object."""

log = structlog.get_logger(__name__)

_LIST_SECONDS: Final = 15
_WATCH_SECONDS: Final = 240
_SILENCE_SECONDS: Final = 90
"""The server sends a bookmark about once a minute; longer silence is a dead connection."""
_EVENT_BYTES: Final = 8 << 20
"""Of one event: several times what the API server stores of an object."""
_BACKOFF: Final = (0.2, 5.0)


class ApiServer:
    """How to reach the API server. The token is read again for each request, since the kubelet renews it."""

    def __init__(self, url: str, token_file: Path, ca_file: Path) -> None:
        self.url = url
        self._token_file = token_file
        self._tls = ssl.create_default_context(cafile=str(ca_file)) if url.startswith("https:") else False

    def session(self) -> aiohttp.ClientSession:
        """Return a session for it; the caller closes it."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=self._tls or True),
            headers={"User-Agent": "slicewise-gateway", "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            max_headers=HEADERS,
        )

    def authorization(self) -> dict[str, str]:
        """Return the header for one request."""
        return {"Authorization": f"Bearer {self._token_file.read_text().strip()}"}

    async def get(
        self, session: aiohttp.ClientSession, url: str, selector: Mapping[str, str], seconds: float
    ) -> dict[str, Any]:
        """Return the object or list behind a URL of it, in time. Raises aiohttp.ClientError, TimeoutError, OSError, ValueError."""
        async with session.get(
            url,
            params=selector,
            headers=self.authorization(),
            timeout=aiohttp.ClientTimeout(total=seconds),
            # The token is for the API server alone.
            allow_redirects=False,
        ) as response:
            _check(response)
            found = json.loads(await read_whole(response, LIST_BYTES))
            if not isinstance(found, dict):
                raise ValueError(f"{response.url.path}: not an object")  # noqa: TRY004 - the callers know ValueError
            return found

    async def patch_status(
        self, session: aiohttp.ClientSession, url: str, body: Mapping[str, Any], seconds: float
    ) -> None:
        """Merge `body` into the status of a built-in object, in time. Raises aiohttp.ClientError, TimeoutError, OSError, ValueError."""
        async with session.patch(
            f"{url}/status",
            data=json.dumps(body),
            headers={**self.authorization(), "Content-Type": "application/strategic-merge-patch+json"},
            timeout=aiohttp.ClientTimeout(total=seconds),
            allow_redirects=False,
        ) as response:
            _check(response)


def _check(response: aiohttp.ClientResponse) -> None:
    """Raise for anything but an answer; a redirect does not count as one, for the token is for the API server alone."""
    response.raise_for_status()
    if response.status != 200:
        raise ValueError(f"{response.url.path}: answered {response.status}")


class _StartAgainError(Exception):
    """The watch cannot continue from its version: list again."""


class Collection:
    """The objects behind one URL, kept current. `changed(objects)` is called with all of them, first after the first list."""

    def __init__(
        self, server: ApiServer, path: str, selector: Mapping[str, str], changed: Callable[[Objects], None]
    ) -> None:
        self._server = server
        self._url = server.url + path
        self.selector = dict(selector)
        self._changed = changed
        self._objects: dict[str, Mapping[str, Any]] = {}
        self._told: str | None = None
        self.in_touch = False
        """Whether the last exchange with the API server went well."""

    async def follow(self) -> None:
        """List and watch until cancelled. What is known stays known while the API server cannot be reached."""
        wait = _BACKOFF[0]
        async with self._server.session() as session:
            while True:
                try:
                    version = await self._list(session)
                    wait = _BACKOFF[0]
                    while True:
                        version = await self._watch(session, version)
                except _StartAgainError as reason:
                    log.info("listing again", url=self._url, reason=str(reason))
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError) as error:
                    if self.in_touch:
                        log.warning("watch failed", url=self._url, error=error_text(error))
                    self.in_touch = False
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                wait = min(wait * 2, _BACKOFF[1])

    async def _list(self, session: aiohttp.ClientSession) -> str:
        found = await self._server.get(session, self._url, self.selector, _LIST_SECONDS)
        self._objects = {item["metadata"]["name"]: item for item in found.get("items") or ()}
        self.in_touch = True
        self._tell()
        return str(found["metadata"]["resourceVersion"])

    async def _watch(self, session: aiohttp.ClientSession, version: str) -> str:
        """Take in one watch until the server ends it; return the version to go on from."""
        params = {
            **self.selector,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=_SILENCE_SECONDS)
        async with session.get(
            self._url, params=params, headers=self._server.authorization(), timeout=timeout, allow_redirects=False
        ) as response:
            _check(response)
            rest = bytearray()
            async for data in response.content.iter_any():
                rest += data
                if b"\n" in data:
                    *lines, tail = rest.split(b"\n")
                    for line in lines:
                        version = self._take(json.loads(line)) or version
                    rest = bytearray(tail)
                    self._tell()
                elif len(rest) > _EVENT_BYTES:
                    raise _StartAgainError(f"an event of more than {_EVENT_BYTES} bytes")
        return version

    def _take(self, event: Mapping[str, Any]) -> str | None:
        """Take in one event; return its version."""
        found = event["object"]
        if event["type"] == "ERROR":
            raise _StartAgainError(str(found.get("message") or found.get("code")))
        metadata = found["metadata"]
        if event["type"] == "DELETED":
            self._objects.pop(metadata["name"], None)
        elif event["type"] != "BOOKMARK":
            self._objects[metadata["name"]] = found
        return str(metadata["resourceVersion"]) if "resourceVersion" in metadata else None

    def _tell(self) -> None:
        state = json.dumps(
            {name: found["metadata"]["resourceVersion"] for name, found in sorted(self._objects.items())}
        )
        if state != self._told:
            self._told = state
            self._changed(dict(self._objects))
