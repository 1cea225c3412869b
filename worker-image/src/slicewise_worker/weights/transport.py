"""One HTTP client for all sources, with the guard in its connector.

Redirects are followed here, not by aiohttp: each hop's scheme is checked, and credentials go to the first origin
(scheme, host and port) only. No proxy, cookie or netrc of the environment is used.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from yarl import URL

from slicewise_worker.weights.errors import FetchError, Reason, TryAgain, shown
from slicewise_worker.weights.guard import GuardedResolver, GuardedSockets, RefusedAddress

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_HOPS = 10
_TRANSIENT = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_HINT_BYTES = 4096
_CODE = re.compile(r'<Code>(\w+)</Code>|"code"\s*:\s*"(\w+)"')
_HEADERS = {"User-Agent": "slicewise-fetch/0.1", "Accept-Encoding": "identity"}


class Transport:
    """An HTTP session bounded by the guard. Use as an async context manager."""

    def __init__(self, *, allow_private: bool, stall_seconds: float, ca_file: Path | None = None) -> None:
        self._allow_private = allow_private
        self._stall_seconds = stall_seconds
        self._ca_file = ca_file
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        trust = ssl.create_default_context()
        if self._ca_file:
            try:
                trust.load_verify_locations(self._ca_file)
            except ssl.SSLError as error:
                raise FetchError(Reason.UNSUPPORTED, "key ca.crt of the credentials: not PEM certificates") from error
        connector = aiohttp.TCPConnector(
            ssl=trust,
            resolver=GuardedResolver(allow_private=self._allow_private),
            socket_factory=GuardedSockets(allow_private=self._allow_private),
            use_dns_cache=False,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers=_HEADERS,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(
                total=None, sock_connect=min(15, self._stall_seconds), sock_read=self._stall_seconds
            ),
            auto_decompress=False,
            trust_env=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session:
            await self._session.close()

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
        """The answer after redirects, whatever its status; a redirect itself when `stop_at` wants it.

        `auth` are the headers that carry credentials. Raises `FetchError` (PrivateAddress, Unsupported) or `TryAgain`
        when there is no answer, also when the connection breaks while the body is read.
        """
        if self._session is None:
            raise RuntimeError("use the transport in `async with`")
        first = url.origin()
        try:
            for _ in range(_MAX_HOPS):
                self._check_scheme(url)
                sent = {**(headers or {}), **((auth or {}) if url.origin() == first else {})}
                async with self._session.request(method, url, headers=sent, allow_redirects=False) as response:
                    if response.status not in _REDIRECTS or "Location" not in response.headers or stop_at(response):
                        yield response
                        return
                    url = _target(url, response.headers["Location"])
        except (aiohttp.ClientError, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise _from_client(url, error) from error
        raise FetchError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: more than {_MAX_HOPS} redirects; check the source")

    def _check_scheme(self, url: URL) -> None:
        if url.scheme == "https" or (url.scheme == "http" and self._allow_private):
            return
        raise FetchError(
            Reason.UNSUPPORTED,
            f"{shown(url)}: {url.scheme} is not allowed here; the source must be, and redirect to, https",
        )


def _target(url: URL, location: str) -> URL:
    try:
        target = url.join(URL(location, encoded=True))
        target.origin()
    except ValueError as error:
        raise FetchError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: redirects to what is no address") from error
    return target.with_user(None)


def _from_client(url: URL, error: Exception) -> FetchError | TryAgain:
    """aiohttp's errors as ours."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    if isinstance(cause, RefusedAddress):
        return FetchError(
            Reason.PRIVATE_ADDRESS,
            f"{shown(url)}: refused, {cause}; use a public source, or allow private sources in the chart "
            "(worker.allowPrivateSources) if this host is yours",
        )
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError(Reason.UNSUPPORTED, f"{shown(url)}: not an address")
    if isinstance(error, TimeoutError):
        return TryAgain(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: nothing came in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = f"certificate not trusted ({error.certificate_error}); put the authority's ca.crt into the credentials Secret"
        return TryAgain(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: {why}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TryAgain(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: the connection broke before the end of the file")
    # The first line only, and no query: the rest of aiohttp's texts quotes what the server sent, or the address.
    text = (str(cause or error) or type(error).__name__).splitlines()[0].split("?", maxsplit=1)[0]
    return TryAgain(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: {text[:200]}")


async def trouble(response: aiohttp.ClientResponse, *, now: float, first: URL) -> FetchError | TryAgain:
    """The error that an answer outside 2xx stands for.

    `first` is the address that was asked before redirects: a refusal by another host (a store whose signed address ran
    out) is worth a new try, a refusal by the first host is final. `now` in seconds of the epoch.
    """
    where, status = shown(response.url), response.status
    hint = await _hint(response)
    if status in {401, 403}:
        if response.url.origin() != first.origin():
            return TryAgain(
                Reason.CREDENTIALS_REJECTED, f"{where}: answered {status} {hint} to a redirect of {shown(first)}"
            )
        return FetchError(
            Reason.CREDENTIALS_REJECTED,
            f"{where}: answered {status} {hint}; check the Secret of credentialsSecretRef and what it may read",
        )
    if status in {404, 410}:
        return FetchError(Reason.SOURCE_NOT_FOUND, f"{where}: answered {status} {hint}; check the source's spelling")
    if status in _TRANSIENT or status >= 500:
        after = _retry_after(response.headers.get("Retry-After"), now)
        return TryAgain(Reason.SOURCE_UNREACHABLE, f"{where}: answered {status} {hint}", after)
    return FetchError(Reason.SOURCE_UNREACHABLE, f"{where}: answered {status} {hint}; check the source")


async def _hint(response: aiohttp.ClientResponse) -> str:
    """What the server says about the error, in a few words: a hub's header, or the code in a store's or registry's body."""
    if region := response.headers.get("x-amz-bucket-region") if response.status in _REDIRECTS else None:
        return f"(the bucket is in {region}: set region in the credentials Secret)"
    text = response.headers.get("X-Error-Message")
    if not text and response.method != "HEAD":
        body = (await response.content.read(_HINT_BYTES)).decode("utf-8", "replace")
        code = _CODE.search(body)
        text = (code[1] or code[2]) if code else None
    return " ".join((text or response.reason or "").split())[:200]


def _retry_after(text: str | None, now: float) -> float | None:
    if not text:
        return None
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except ValueError:
        return None
