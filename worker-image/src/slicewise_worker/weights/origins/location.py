"""What an origin tells the download."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from yarl import URL

from slicewise_worker.weights.settings import Credentials


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes are now. `auth`: headers with credentials, for that origin only. `digest`: as `sha256:<hex>`."""

    url: URL
    auth: Mapping[str, str] = field(default_factory=dict, repr=False)
    digest: str | None = None
    size: int | None = None


class Origin(Protocol):
    """One source. `locate` is asked before each try, because signed addresses and tokens run out."""

    async def locate(self) -> Location:
        """Where the bytes are. Raises `FetchError` or `TryAgain`."""
        ...


def authorization(credentials: Credentials) -> dict[str, str]:
    """The header for a bearer token, else for user and password, else none."""
    if credentials.token:
        return {"Authorization": f"Bearer {credentials.token}"}
    if credentials.username is not None and credentials.password is not None:
        pair = f"{credentials.username}:{credentials.password}".encode()
        return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
    return {}
