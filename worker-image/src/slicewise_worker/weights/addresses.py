"""Which addresses a source of weights may have. Pure.

The operator's `manifests/metadata_addresses.py` has the same list for the NetworkPolicies of workers and gateways; a contract
test compares the two.
"""

from __future__ import annotations

import ipaddress
from typing import Final

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

NEVER: Final = (
    # Link-local: the metadata services of most clouds, which hand out credentials of the node.
    "169.254.0.0/16",
    "fe80::/10",
    # Metadata services outside it: Alibaba, Azure, Oracle, AWS (all of its own range), Google, Scaleway.
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:42::42/128",
    # Addresses that a translator or a tunnel turns into others, which could not be checked: local-use NAT64, 6to4, Teredo,
    # IPv4-translated, IPv4-compatible.
    "64:ff9b:1::/48",
    "2002::/16",
    "2001::/32",
    "::ffff:0:0:0/96",
    "::/96",
)
"""Never connected to, whatever the installation allows. What NAT64 (64:ff9b::/96) or an IPv4-mapped address (::ffff:0:0/96)
stands for is judged as that IPv4 address."""

_NEVER: Final[tuple[Network, ...]] = tuple(ipaddress.ip_network(text) for text in NEVER)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
_SITE_LOCAL: Final = ipaddress.ip_network("fec0::/10")


def refusal(text: str, *, allow_private: bool) -> str | None:
    """Return why `text`, an IP address, must not be connected to; None when it may be.

    >>> refusal("::ffff:10.0.0.1", allow_private=False)
    '10.0.0.1 is a private address'
    """
    address = _unwrapped(ipaddress.ip_address(text))
    if address.is_unspecified or address.is_multicast:
        return f"{address} is not the address of one host"
    if not address.is_loopback and any(_lies_in(address, network) for network in _NEVER):
        return f"{address} is a link-local or metadata address"
    if not allow_private and (not address.is_global or _lies_in(address, _SITE_LOCAL)):
        return f"{address} is a {'loopback' if address.is_loopback else 'private'} address"
    return None


def _lies_in(address: Address, network: Network) -> bool:
    return address.version == network.version and address in network


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address stands for (mapped, NAT64), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address
