"""What a failed exchange with a source means: aiohttp's errors and the answers outside 2xx, as ours."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import Final

import aiohttp
from yarl import URL

from slicewise_worker.weights.bounded import read_start, whole_number
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown
from slicewise_worker.weights.guard import RefusedAddressError

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_TRANSIENT: Final = frozenset({408, 421, 425, 429, 500, 502, 503, 504})
_HINT_BYTES: Final = 4096
_CODE: Final = re.compile(r'<Code>(\w+)</Code>|"code"\s*:\s*"(\w+)"')


def refused_address(url: URL, cause: RefusedAddressError) -> FetchError:
    """Return the error for an address that the guard does not let through."""
    step = "no setting allows it; use another source"
    if not cause.always:
        step = "use a public source, or allow private sources in the chart (worker.allowPrivateSources) if this host is yours"
    return FetchError(Reason.PRIVATE_ADDRESS, f"{shown(url)}: refused, {cause}; {step}")


def from_client(url: URL, error: Exception) -> FetchError | TryAgainError:
    """Return aiohttp's error as ours."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else None
    # Not aiohttp's own words: they hold the proxy's address, which may hold a password.
    if isinstance(error, aiohttp.ClientHttpProxyError):
        why = f"the installation's proxy (worker.proxy) answered {error.status}"
        return TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: {why}; check that it lets this host through")
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        why = str(cause) if isinstance(cause, RefusedAddressError) else (cause and cause.strerror) or "no connection"
        return TryAgainError(
            Reason.SOURCE_UNREACHABLE, f"{shown(url)}: the installation's proxy (worker.proxy) is not reached: {why}"
        )
    if isinstance(cause, RefusedAddressError):
        return refused_address(url, cause)
    if isinstance(error, aiohttp.InvalidURL):
        return FetchError(Reason.UNSUPPORTED, f"{shown(url)}: not an address")
    if isinstance(error, TimeoutError):
        return TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: nothing came in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        why = f"certificate not trusted ({error.certificate_error}); put the authority's ca.crt into the credentials Secret"
        return TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: {why}")
    if isinstance(error, aiohttp.ClientPayloadError):
        return TryAgainError(
            Reason.SOURCE_UNREACHABLE, f"{shown(url)}: the connection broke before the end of the file"
        )
    # The first line only, and no query: the rest of aiohttp's texts quotes what the server sent, or the address.
    text = (str(cause or error) or type(error).__name__).splitlines()[0].split("?", maxsplit=1)[0]
    return TryAgainError(Reason.SOURCE_UNREACHABLE, f"{shown(url)}: {text[:200]}")


async def trouble(response: aiohttp.ClientResponse, *, now: float, first: URL) -> FetchError | TryAgainError:
    """Return the error that an answer outside 2xx stands for.

    `first` is the address that was asked before redirects: a refusal by another host (a store whose signed address ran
    out) is worth a new try, a refusal by the first host is final. `now` in seconds of the epoch.
    """
    where, status = shown(response.url), response.status
    hint = await _hint(response)
    if status in {401, 403}:
        if response.url.origin() != first.origin():
            return TryAgainError(
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
        return TryAgainError(Reason.SOURCE_UNREACHABLE, f"{where}: answered {status} {hint}", after)
    return FetchError(Reason.SOURCE_UNREACHABLE, f"{where}: answered {status} {hint}; check the source")


async def _hint(response: aiohttp.ClientResponse) -> str:
    """Return what the server says about the error, in a few words: a hub's header, or the code in a store's or registry's body."""
    if region := response.headers.get("x-amz-bucket-region") if response.status in REDIRECTS else None:
        return f"(the bucket is in {region[:40]}: set region in the credentials Secret)"
    text = response.headers.get("X-Error-Message")
    if not text and response.method != "HEAD":
        body = (await read_start(response, _HINT_BYTES)).decode("utf-8", "replace")
        code = _CODE.search(body)
        text = (code[1] or code[2]) if code else None
    return " ".join((text or response.reason or "").split())[:200]


def _retry_after(text: str | None, now: float) -> float | None:
    if not text:
        return None
    if (seconds := whole_number(text)) is not None:
        return float(seconds)
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError, OSError):
        return None
