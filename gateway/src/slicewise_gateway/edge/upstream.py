"""The way on to the workers: Envoy's internal listener, which has the weights, the retries and the limits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from multidict import CIMultiDict

from slicewise_gateway.bounded import HEADERS
from slicewise_gateway.edge.body import Body
from slicewise_gateway.edge.request import CACHE_HEADER, NOT_STARTED_HEADER, WORKER_HEALTHY_HEADER

_HOP: Final = frozenset(
    [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
        "host",
        "content-length",
    ]
)
_NOT_SENT: Final = _HOP | {"accept-encoding", CACHE_HEADER}
"""An answer is kept as everybody can read it, so no coding is asked for."""
_NOT_GIVEN: Final = _HOP | {NOT_STARTED_HEADER, WORKER_HEALTHY_HEADER, "date", "x-envoy-upstream-service-time"}

SEND_ERRORS: Final = (aiohttp.ClientError, OSError)
"""What reading or asking may raise; nothing of it is the client's fault."""


class Upstream:
    """Envoy of this pod, from inside."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self._url = url.rstrip("/")
        self._session = session

    @asynccontextmanager
    async def send(
        self, path: str, headers: Mapping[str, str], body: Body | bytes, **more: str
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request on, with `more` headers; leaving the block early ends it. Raises SEND_ERRORS.

        A `Body` is let go once it was written: Envoy has the whole of it then. Bytes are kept by who may send them again.
        """
        passed = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in _NOT_SENT)
        passed.update({name.replace("_", "-"): value for name, value in more.items()})
        passed["content-length"] = str(len(body.data if isinstance(body, Body) else body))
        data = body.pour() if isinstance(body, Body) else body
        async with self._session.post(
            self._url + path, data=data, headers=passed, allow_redirects=False, timeout=_NO_LIMIT
        ) as answer:
            yield answer


def response_headers(answer: aiohttp.ClientResponse) -> CIMultiDict[str]:
    """Return the headers of an answer that the client gets."""
    return CIMultiDict((name, value) for name, value in answer.headers.items() if name.lower() not in _NOT_GIVEN)


def new_session() -> aiohttp.ClientSession:
    """Return a session for `Upstream`. Envoy bounds times and numbers, so this one does not."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
        auto_decompress=False,
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        cookie_jar=aiohttp.DummyCookieJar(),
        max_headers=HEADERS,
    )


# Envoy's route has the time-out of the whole, and says so in a readable answer.
_NO_LIMIT: Final = aiohttp.ClientTimeout(total=None, sock_connect=2)
