"""`s3://`: an object of an S3-compatible store.

obstore (the Rust object_store) signs the address; the transfer itself goes through the guarded transport like every other,
which obstore's own client would not (it resolves names and follows redirects by itself). Without keys the object is read
unsigned. obstore is never asked to find credentials: it would look for them at the node's metadata service.
"""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

from yarl import URL

from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.origins.location import Location, base_address
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.source import BucketSource

if TYPE_CHECKING:
    from obstore.store import S3Config

_VALID_FOR = timedelta(hours=1)
_DEFAULT_REGION = "us-east-1"
_REGION = re.compile(r"[A-Za-z0-9-]{1,64}")


class BucketOrigin:
    """One object, in path style."""

    def __init__(self, source: BucketSource, credentials: Credentials) -> None:
        if (credentials.access_key_id is None) != (credentials.secret_access_key is None):
            raise FetchError(
                Reason.CREDENTIALS_REJECTED,
                f"s3://{source.bucket}: the Secret needs both accessKeyId and secretAccessKey",
            )
        self._source = source
        self._credentials = credentials
        self._region = credentials.region or _DEFAULT_REGION
        if not _REGION.fullmatch(self._region):  # it becomes part of a host name
            raise FetchError(
                Reason.UNSUPPORTED, "key region of the credentials: write a region's name, such as eu-west-1"
            )
        self._endpoint = base_address(credentials.endpoint or f"https://s3.{self._region}.amazonaws.com", "endpoint")

    async def locate(self) -> Location:
        """A freshly signed address, or the plain one where there are no keys."""
        if self._credentials.access_key_id is None:
            plain = f"{self._endpoint}/{self._source.bucket}/{quote(self._source.key)}"
            return Location(URL(plain, encoded=True))
        return Location(URL(await asyncio.to_thread(self._signed), encoded=True))

    def _signed(self) -> str:
        import obstore  # noqa: PLC0415 - a compiled library that only this source needs
        from obstore.store import S3Store  # noqa: PLC0415

        config: S3Config = {
            "endpoint": self._endpoint,
            "region": self._region,
            "access_key_id": self._credentials.access_key_id or "",
            "secret_access_key": self._credentials.secret_access_key or "",
        }
        if self._credentials.session_token:
            config["session_token"] = self._credentials.session_token
        store = S3Store(self._source.bucket, config=config, client_options={"allow_http": True})
        return obstore.sign(store, "GET", self._source.key, _VALID_FOR)
