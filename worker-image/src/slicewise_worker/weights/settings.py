"""The only reader of the environment of `slicewise-fetch`: what the operator sets on the init container.

Called by `__main__`. Credentials come from files (a mounted Secret), never from the environment.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field, field_validator

from slicewise_worker.engine.gguf_header import MOST_PARTS
from slicewise_worker.environment import CapitalSettings
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.proxy import Proxies, parse_exempt, parse_proxy

_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}$")
_MAX_CREDENTIAL = 8192


MOST_ADAPTERS = 8
"""As many as a pool's `spec.model.adapters` may have."""


class AdapterSource(BaseModel):
    """Where an adapter is, as the settings of the same names say it of the model."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    source: str
    digest: Annotated[str | None, Field(pattern=_DIGEST.pattern)] = None
    credentials_dir: Path | None = None
    claim_dir: Path | None = None


class FetchSettings(CapitalSettings):
    """Environment variables `SLICEWISE_FETCH_*`. Sizes in bytes, times in seconds."""

    model_config = ConfigDict(frozen=True)
    prefix: ClassVar = "SLICEWISE_FETCH_"

    source: str
    digest: str | None = None
    digests: Annotated[tuple[Annotated[str, Field(pattern=_DIGEST.pattern)], ...], Field(max_length=MOST_PARTS)] = ()
    """Of the parts of a split model, whose first part is the source; a JSON list."""
    cache_dir: Path = Path("/weights")
    cache_size_limit: Annotated[int, Field(gt=0)] | None = None
    result_file: Path = Path("/run/slicewise/weights.json")
    live_file: Path | None = None
    allow_private: bool = False
    port: Annotated[int, Field(ge=0, le=65535)] = 9091
    credentials_dir: Path = Path("/etc/slicewise/credentials")
    claim_dir: Path = Path("/source")
    termination_log: Path = Path("/dev/termination-log")
    adapters: Annotated[tuple[AdapterSource, ...], Field(max_length=MOST_ADAPTERS)] = ()
    """What is fetched beside the model; a JSON list."""
    pool: str | None = None
    """`<namespace>/<pool>`: whose live set to record in a cache that several pools share."""

    https_proxy: Annotated[str | None, Field(repr=False)] = None
    http_proxy: Annotated[str | None, Field(repr=False)] = None
    no_proxy: str = ""
    """The installation's proxies (`worker.proxy` of the chart): for https sources, for http ones, and who is reached without. Not
    read from the names without prefix: those are in a container's environment whenever a pool's author puts them there."""

    patience_seconds: Annotated[float, Field(ge=0)] = 600
    """How long to go on with next to nothing new before giving up; the kubelet then restarts the container."""
    max_backoff_seconds: Annotated[float, Field(gt=0)] = 30
    stall_seconds: Annotated[float, Field(gt=0)] = 60
    """A connection that brings next to nothing for this long is given up and tried again."""
    checkpoint_bytes: Annotated[int, Field(gt=0)] = 64 * 1024**2
    """At most this much is fetched twice after a crash."""
    digest_attempts: Annotated[int, Field(ge=1)] = 3
    log_seconds: Annotated[float, Field(gt=0)] = 5

    @field_validator("digest")
    @classmethod
    def _digest_is_sha256(cls, value: str | None) -> str | None:
        if value is not None and not _DIGEST.fullmatch(value):
            raise ValueError("write sha256: and 64 lower-case hexadecimal digits")
        return value

    @field_validator("https_proxy", "http_proxy")
    @classmethod
    def _proxy_is_an_address(cls, value: str | None) -> str | None:
        if value is not None:
            parse_proxy(value)
        return value

    @property
    def proxies(self) -> Proxies:
        """The proxies as the transport takes them."""
        https, http = (parse_proxy(text) if text else None for text in (self.https_proxy, self.http_proxy))
        return Proxies(https, http, parse_exempt(self.no_proxy))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The keys of the pool's `credentialsSecretRef`; each None when the Secret does not have it."""

    token: str | None = field(default=None, repr=False)
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str | None = None
    endpoint: str | None = None
    token_host: str | None = None
    """The registry's token server, where it is not the registry: `auth.example`, or with scheme and port."""
    ca_file: Path | None = None
    """PEM certificates to trust beside the public ones (key `ca.crt`)."""


def read_credentials(folder: Path | None) -> Credentials:
    """Read the mounted Secret; a folder or key that is not there is no credential. Surrounding white space is dropped.

    Raises `FetchError` (CredentialsRejected) for a key that cannot be a credential; the message never shows it.
    """

    if folder is None:
        return Credentials()

    def key(name: str) -> str | None:
        path = folder / name
        return _one_line_of_text(name, path.read_bytes()) if path.is_file() else None

    authority = folder / "ca.crt"
    return Credentials(
        token=key("token"),
        username=key("username"),
        password=key("password"),
        access_key_id=key("accessKeyId"),
        secret_access_key=key("secretAccessKey"),
        session_token=key("sessionToken"),
        region=key("region"),
        endpoint=(key("endpoint") or "").rstrip("/") or None,
        token_host=(key("tokenHost") or "").rstrip("/") or None,
        ca_file=authority if authority.is_file() else None,
    )


def _one_line_of_text(name: str, content: bytes) -> str | None:
    try:
        text = content.decode("utf-8").strip()
    except UnicodeDecodeError:
        text = "\n"
    # A line break in it would end the header that it goes into.
    if not text.isprintable() or len(text) > _MAX_CREDENTIAL:
        raise FetchError(
            Reason.CREDENTIALS_REJECTED,
            f"key {name} of the credentials: not one line of at most {_MAX_CREDENTIAL} characters; check the Secret",
        ) from None
    return text or None
