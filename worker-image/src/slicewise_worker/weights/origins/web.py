"""`https://`: the address is the location."""

from __future__ import annotations

from slicewise_worker.weights.origins.location import Location, authorization
from slicewise_worker.weights.settings import Credentials
from slicewise_worker.weights.source import WebSource


class WebOrigin:
    """A file behind a plain address, with a bearer token or user and password when the Secret has them."""

    def __init__(self, source: WebSource, credentials: Credentials) -> None:
        self._location = Location(source.url, authorization(credentials))

    async def locate(self) -> Location:
        """The address itself."""
        return self._location
