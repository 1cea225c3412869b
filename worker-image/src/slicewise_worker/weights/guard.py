"""Which addresses a fetch may connect to.

A pool's author names the host, the cluster's network answers: without a guard a source could read the cloud's metadata
service or a service inside the cluster. The check sits where the socket is made, on the address that is about to be
connected, so literals in any notation, DNS answers that change, and redirects all pass through it.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from aiohttp import abc
from aiohttp.resolver import ThreadedResolver

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
# Metadata services whose addresses are not link-local. They hand out credentials of the node.
_METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)


class RefusedAddress(OSError):  # noqa: N818 - aiohttp carries it as the cause of its own error
    """The address is not one that a source may have."""


def refusal(text: str, *, allow_private: bool) -> str | None:
    """Why `text`, an IP address, must not be connected to; None when it may be.

    Link-local addresses and metadata services are refused also where private addresses are allowed: no weights live there.

    >>> refusal("::ffff:10.0.0.1", allow_private=False)
    '10.0.0.1 is a private address'
    """
    address = _unwrapped(ipaddress.ip_address(text))
    if address in _METADATA or address.is_link_local:
        return f"{address} is a link-local or metadata address"
    if address.is_multicast or address.is_unspecified:
        return f"{address} is not the address of one host"
    if not allow_private and not address.is_global:
        return f"{address} is a {'loopback' if address.is_loopback else 'private'} address"
    return None


def _unwrapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for (mapped, 6to4, Teredo, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if address.teredo:
        return address.teredo[1]
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address


class GuardedResolver(abc.AbstractResolver):
    """Resolves names, and refuses the whole answer when one address in it is refused."""

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        """The addresses of the host. Raises `RefusedAddress`, or OSError when the name does not resolve."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            if why := refusal(one["host"], allow_private=self._allow_private):
                raise RefusedAddress(f"{host}: {why}")
        return found

    async def close(self) -> None:
        """Nothing to release beyond what the inner resolver holds."""
        await self._inner.close()


class GuardedSockets:
    """A socket factory for aiohttp's connector that refuses what `refusal` refuses."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        """A socket for the address that `info` (of getaddrinfo) names. Raises `RefusedAddress`."""
        family, kind, protocol, _, address = info
        if why := refusal(str(address[0]), allow_private=self._allow_private):
            raise RefusedAddress(why)
        return socket.socket(family, kind, protocol)
