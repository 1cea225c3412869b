"""The guard on the fetch's sockets.

A pool's author names the host, the cluster's network answers: without a guard a source could read the cloud's metadata
service or a service inside the cluster. The check sits where the socket is made, on the address that is about to be
connected, so literals in any notation, DNS answers that change, and redirects all pass through it.
"""

from __future__ import annotations

import socket
from typing import Any

from aiohttp import abc
from aiohttp.resolver import ThreadedResolver

from slicewise_worker.weights.addresses import refusal


class RefusedAddressError(OSError):
    """The address is not one that a source may have. `always`: no setting of the installation allows it."""

    def __init__(self, message: str, *, always: bool) -> None:
        super().__init__(message)
        self.always = always


def check_address(text: str, *, allow_private: bool, host: str | None = None) -> None:
    """Raise `RefusedAddressError` when the IP address `text`, to which `host` resolved, must not be connected to."""
    if why := refusal(text, allow_private=allow_private):
        always = refusal(text, allow_private=True) is not None
        raise RefusedAddressError(f"{host}: {why}" if host else why, always=always)


class GuardedResolver(abc.AbstractResolver):
    """Resolves names, and refuses the whole answer when one address in it is refused."""

    def __init__(self, *, allow_private: bool) -> None:
        self._inner = ThreadedResolver()
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[abc.ResolveResult]:
        """Return the addresses of the host. Raises `RefusedAddressError`, or OSError when the name does not resolve."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            check_address(one["host"], allow_private=self._allow_private, host=host)
        return found

    async def close(self) -> None:
        """Nothing to release beyond what the inner resolver holds."""
        await self._inner.close()


class GuardedSockets:
    """A socket factory for aiohttp's connector that refuses what `refusal` refuses."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    def __call__(self, info: tuple[Any, ...]) -> socket.socket:
        """Return a socket for the address that `info` (of getaddrinfo) names. Raises `RefusedAddressError`."""
        family, kind, protocol, _, address = info
        check_address(str(address[0]), allow_private=self._allow_private)
        return socket.socket(family, kind, protocol)
