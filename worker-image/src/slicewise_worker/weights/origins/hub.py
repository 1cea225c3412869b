"""`hf://`: a file of a model hub, by the hub's resolve protocol.

HEAD on the resolve address names the LFS object (its sha256 in X-Linked-Etag, its size in X-Linked-Size); GET on the same
address redirects to the store that has the bytes, with an address signed for a while. huggingface_hub builds the address
and names the headers; its own client is not used for the transfer, because it connects wherever a redirect points.
"""

from __future__ import annotations

import re
import time

import aiohttp
from huggingface_hub import constants, hf_hub_url
from yarl import URL

from slicewise_worker.weights.answers import trouble
from slicewise_worker.weights.bounded import whole_number
from slicewise_worker.weights.errors import FetchError, Reason, TryAgainError, shown
from slicewise_worker.weights.origins.location import Location, authorization, base_address
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.source import HubSource
from slicewise_worker.weights.transport import Transport

_HUB = "https://huggingface.co"
_SHA256 = re.compile(r'(?:W/)?"?([0-9a-f]{64})"?')
_LINKED_ETAG = constants.HUGGINGFACE_HEADER_X_LINKED_ETAG
_LINKED_SIZE = constants.HUGGINGFACE_HEADER_X_LINKED_SIZE
_NOT_FOUND = {
    "RepoNotFound": "no such repository, or it is private: check the name, or set credentialsSecretRef with a token",
    "RevisionNotFound": "no such revision: use the commit's full hash",
    "EntryNotFound": "no such file in that revision: check its name",
}


class HubOrigin:
    """One file of one repository at one revision."""

    def __init__(self, source: HubSource, transport: Transport, credentials: Credentials) -> None:
        self._transport = transport
        self._auth = authorization(credentials)
        # Named here, so that no HF_ENDPOINT of the environment sends the token elsewhere.
        base = base_address(credentials.endpoint or _HUB, "endpoint")
        address = hf_hub_url(source.repo, source.file, revision=source.revision, endpoint=base)
        self._url = URL(address, encoded=True)

    async def locate(self) -> Location:
        """Ask the hub for digest and size. The download's GET follows the redirect to the store."""
        async with self._transport.request(
            self._url, method="HEAD", auth=self._auth, stop_at=lambda response: _LINKED_ETAG in response.headers
        ) as response:
            if response.status >= 400:
                raise await _refused(response, self._url)
            etag = response.headers.get(_LINKED_ETAG) or response.headers.get("ETag") or ""
            size = response.headers.get(_LINKED_SIZE) or response.headers.get("Content-Length") or ""
        match = _SHA256.fullmatch(etag)
        return Location(
            self._url,
            self._auth,
            f"sha256:{match[1]}" if match else None,
            whole_number(size) if match else None,
        )


async def _refused(response: aiohttp.ClientResponse, url: URL) -> FetchError | TryAgainError:
    code = response.headers.get("X-Error-Code", "")
    if code in _NOT_FOUND:
        return FetchError(Reason.SOURCE_NOT_FOUND, f"{shown(url)}: {_NOT_FOUND[code]}")
    if code == "GatedRepo":
        return FetchError(
            Reason.CREDENTIALS_REJECTED, f"{shown(url)}: gated: accept its terms and use a token that may read it"
        )
    return await trouble(response, now=time.time(), first=url)
