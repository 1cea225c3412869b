"""One HTTP client for all sources, with the guard in its connector.

Redirects are followed here, not by aiohttp: each hop's scheme is checked, and credentials go to the first origin (scheme,
host and port) only, and no more once a redirect has left it. Nothing of the environment is used but the installation's proxy.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import aiohttp
from yarl import URL

from slicewise_worker.weights.answers import REDIRECTS, from_client, refused_address
from slicewise_worker.weights.errors import FetchError, Reason, shown
from slicewise_worker.weights.guard import GuardedResolver, GuardedSockets, RefusedAddressError
from slicewise_worker.weights.proxy import Proxies, check_target

_MAX_HOPS: Final = 10
_HEADERS: Final = {"User-Agent": "slicewise-fetch/0.1", "Accept-Encoding": "identity"}
_MAX_HEADERS: Final = 128
_MAX_HEADER_BYTES: Final = 16 * 1024
"""Of one header; signed addresses in `Location` are the longest."""
_READ_BYTES: Final = 256 * 1024
"""What one connection reads ahead."""


class Transport:
    """HTTP sessions bounded by the guard. Use as an async context manager."""

    def __init__(
        self,
        *,
        allow_private: bool,
        stall_seconds: float,
        ca_file: Path | None = None,
        proxies: Proxies = Proxies(),  # noqa: B008 - frozen
    ) -> None:
        self.allow_private = allow_private
        self._stall_seconds = stall_seconds
        self._ca_file = ca_file
        self._proxies = proxies
        self._resolver = GuardedResolver(allow_private=allow_private)
        self._direct: aiohttp.ClientSession | None = None
        self._proxied: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trust = public_trust()
        if self._ca_file:
            try:
                trust.load_verify_locations(self._ca_file)
            except ssl.SSLError as error:
                raise FetchError(Reason.UNSUPPORTED, "key ca.crt of the credentials: not PEM certificates") from error
        self._direct = self._session(trust, allow_private=self.allow_private)
        # Its sockets go to the proxy alone, which the installation has named: it may be private, but no metadata service.
        self._proxied = self._session(trust, allow_private=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in (self._direct, self._proxied):
            if session:
                await session.close()

    def _session(self, trust: ssl.SSLContext, *, allow_private: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(
            ssl=trust,
            resolver=GuardedResolver(allow_private=allow_private),
            socket_factory=GuardedSockets(allow_private=allow_private),
            use_dns_cache=False,
        )
        return aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(15, self._stall_seconds), sock_read=self._stall_seconds
            ),
            auto_decompress=False,
            trust_env=False,
            read_bufsize=_READ_BYTES,
            max_headers=_MAX_HEADERS,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

    @asynccontextmanager
    async def request(
        self,
        url: URL,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
        auth: Mapping[str, str] | None = None,
        stop_at: Callable[[aiohttp.ClientResponse], bool] = lambda _: False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer after redirects, whatever its status; a redirect itself when `stop_at` wants it.

        `auth` are the headers that carry credentials. Raises `FetchError` (PrivateAddress, Unsupported) or `TryAgainError`
        when there is no answer, also when the connection breaks while the body is read.
        """
        first, secret = url.origin(), dict(auth or {})
        try:
            for _ in range(_MAX_HOPS):
                self._check_scheme(url)
                if url.origin() != first:
                    secret = {}  # for good: a host that sends us back has chosen what the first one is asked for
                async with await self._ask(method, url, {**(headers or {}), **secret}) as response:
                    if response.status not in REDIRECTS or "Location" not in response.headers or stop_at(response):
                        yield response
                        return
                    url = _target(url, response.headers["Location"])
        except RefusedAddressError as error:
            raise refused_address(url, error) from error
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise from_client(url, error) from error
        raise FetchError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: more than {_MAX_HOPS} redirects; check the source")

    async def _ask(self, method: str, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Return the answer once its headers are there, which must be within the time of a stall."""
        if self._direct is None or self._proxied is None:
            raise RuntimeError("use the transport in `async with`")
        proxy = self._proxies.of(url)
        async with asyncio.timeout(self._stall_seconds):
            if proxy is None:
                return await self._direct.request(method, url, headers=headers, allow_redirects=False)
            await check_target(url, self._resolver, allow_private=self.allow_private)
            # With https the proxy reads the headers of CONNECT, with http those of the request.
            sent = {**headers, **proxy.headers} if url.scheme == "http" else headers
            return await self._proxied.request(
                method, url, headers=sent, allow_redirects=False, proxy=proxy.url, proxy_headers=proxy.headers
            )

    def _check_scheme(self, url: URL) -> None:
        if url.scheme == "https" or (url.scheme == "http" and self.allow_private):
            return
        what = "plain http needs the chart's value worker.allowPrivateSources" if url.scheme == "http" else "not https"
        raise FetchError(Reason.UNSUPPORTED, f"{shown(url)}: {what}; the source must be, and redirect to, https")


def public_trust() -> ssl.SSLContext:
    """Return a client's context with the image's own store of authorities.

    Not `ssl.create_default_context`: it takes SSL_CERT_FILE, SSL_CERT_DIR and SSLKEYLOGFILE from the environment, which a
    pool's author writes.
    """
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # verifies certificates and names
    built_in = ssl.get_default_verify_paths()
    file, folder = Path(built_in.openssl_cafile), Path(built_in.openssl_capath)
    if file.is_file():
        trust.load_verify_locations(cafile=file)
    if folder.is_dir():
        trust.load_verify_locations(capath=folder)
    return trust


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location, encoded=True))
        target.origin()
    except ValueError as error:
        raise FetchError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: redirects to what is no address") from error
    return target.with_user(None)
