"""What an origin tells the download."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from yarl import URL

from slicewise_worker.weights.errors import FetchError, Reason
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
        """Where the bytes are. Raises `FetchError` or `TryAgainError`."""
        ...


def base_address(text: str, key: str) -> str:
    """Return the base address that a key of the credentials names: `https://host`, with port and path or not, no slash at its end.

    Credentials go to its origin, so it must be exactly what the user meant. Raises `FetchError` (Unsupported).
    """
    try:
        url = URL(text)
        usable = url.scheme in {"https", "http"} and bool(url.host) and url.user is None and not url.query_string
    except ValueError:
        usable = False
    if not usable:
        raise FetchError(
            Reason.UNSUPPORTED, f"key {key} of the credentials: write https://host, without user and query"
        )
    return text.rstrip("/")


def authorization(credentials: Credentials) -> dict[str, str]:
    """Return the header for a bearer token, else for user and password, else none."""
    if credentials.token:
        return {"Authorization": f"Bearer {credentials.token}"}
    return basic(credentials)


def basic(credentials: Credentials) -> dict[str, str]:
    """Return the header for user and password, none where one of them is missing."""
    if credentials.username is None or credentials.password is None:
        return {}
    pair = f"{credentials.username}:{credentials.password}".encode()
    return {"Authorization": "Basic " + base64.b64encode(pair).decode("ascii")}
