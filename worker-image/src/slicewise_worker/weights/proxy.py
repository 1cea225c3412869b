"""The installation's HTTP proxy, and what a fetch may ask of it. Decisions are pure; only `check_target` resolves a name.

Behind a proxy the guard on sockets sees the proxy's address, not the source's. So the source is checked before the proxy
hears of it: an address by the same list, a name by what it resolves to here. A name that resolves only at the proxy is left
to the proxy's own rules, unless it is one that means something inside a network or a cloud.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from dataclasses import dataclass, field
from typing import Final

from aiohttp import abc, encode_basic_auth
from yarl import URL

from slicewise_worker.weights.guard import RefusedAddressError, check_address

_METADATA_NAMES: Final = frozenset(
    {"metadata", "metadata.google.internal", "metadata.goog", "instance-data", "instance-data.ec2.internal"}
)
_INNER_SUFFIXES: Final = ("localhost", "local", "internal", "svc", "home.arpa", "intranet", "lan", "corp")
_RESOLVE_SECONDS: Final = 5.0
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Proxy:
    """Where the proxy is; `auth`, the value of Proxy-Authorization, is kept apart, so that no message shows it."""

    url: URL
    auth: str | None = field(default=None, repr=False)

    @property
    def headers(self) -> dict[str, str]:
        """The headers for the proxy alone."""
        return {} if self.auth is None else {"Proxy-Authorization": self.auth}


@dataclass(frozen=True, slots=True)
class Proxies:
    """The proxies for https and for http, and the hosts that are reached without (`NO_PROXY`)."""

    https: Proxy | None = None
    http: Proxy | None = None
    exempt: tuple[str, ...] = ()

    def of(self, url: URL) -> Proxy | None:
        """Return the proxy for this address, None where it is reached directly."""
        proxy = self.https if url.scheme == "https" else self.http
        return None if proxy is None or is_exempt(url, self.exempt) else proxy


def parse_proxy(text: str) -> Proxy:
    """Return the proxy that `http://[user:password@]host:port` (or https://) names. Raises ValueError, without the text."""
    try:
        url = URL(text if "://" in text else f"http://{text}")
        host, port = url.host, url.port
    except ValueError:
        host, port = None, None
    if not host or not port or url.scheme not in _PORTS:
        raise ValueError("write http://host:port or https://host:port")
    auth = None if url.user is None else encode_basic_auth(url.user, url.password or "", encoding="utf-8")
    return Proxy(URL.build(scheme=url.scheme, host=host, port=port), auth)


def parse_exempt(text: str) -> tuple[str, ...]:
    """Return the entries of a `NO_PROXY` list, in small letters."""
    return tuple(entry for part in text.split(",") if (entry := part.strip().lower()))


def is_exempt(url: URL, exempt: tuple[str, ...]) -> bool:
    """Whether `NO_PROXY` names this host: `*`, a domain (with what is below it), an address, a network, each with a port or not.

    >>> is_exempt(URL("http://models.models.svc/m.gguf"), (".svc",))
    True
    """
    host = (url.host or "").lower().rstrip(".")
    address = literal(host)
    return any(_matches(entry, host, address, url.port) for entry in exempt)


def _matches(
    entry: str, host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None, port: int | None
) -> bool:
    if entry == "*":
        return True
    name, _, entry_port = entry.rpartition(":")
    if name and entry_port.isdecimal() and (":" not in name or name.endswith("]")):
        if int(entry_port[:6]) != port:
            return False
        entry = name
    entry = entry.strip("[]").removeprefix("*").lstrip(".")
    if address is not None:
        try:
            network = ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
        return address.version == network.version and address in network
    return bool(entry) and (host == entry or host.endswith(f".{entry}"))


def literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address that the host is, in any notation that a resolver would take (`127.1`, `0x7f000001`)."""
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return None
    return ipaddress.ip_address(str(found[0][4][0]))


def inner_name(host: str, *, allow_private: bool) -> RefusedAddressError | None:
    """Return why a name must not be given to a proxy, for what it may mean where the proxy stands; None when it may."""
    name = host.lower().rstrip(".")
    if name in _METADATA_NAMES:
        return RefusedAddressError(f"{name} is the name of a metadata service", always=True)
    inner = "." not in name or any(name.endswith(f".{suffix}") for suffix in _INNER_SUFFIXES)
    if inner and not allow_private:
        return RefusedAddressError(f"{name} is a name inside a network", always=False)
    return None


async def check_target(url: URL, resolver: abc.AbstractResolver, *, allow_private: bool) -> None:
    """Raise `RefusedAddressError` when this address must not be asked for through a proxy. `resolver`: one with the guard."""
    host = url.host or ""
    if address := literal(host):
        check_address(str(address), allow_private=allow_private)
        return
    if refused := inner_name(host, allow_private=allow_private):
        raise refused
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            await resolver.resolve(host, url.port or 0, socket.AF_UNSPEC)
    except RefusedAddressError:
        raise
    except (OSError, TimeoutError):
        return  # a network that lets nothing out but through the proxy often resolves nothing outside either
