"""The addresses that no worker and no gateway may reach: a cloud's metadata services, and what stands for them. Pure.

`slicewise_worker.weights.addresses` has the same list for the guard of `slicewise-fetch`; a contract test compares the two.
"""

from __future__ import annotations

import ipaddress
from typing import Any, Final

NEVER: Final = (
    "169.254.0.0/16",
    "fe80::/10",
    "100.100.100.200/32",
    "168.63.129.16/32",
    "192.0.0.192/32",
    "fd00:ec2::/32",
    "fd20:ce::254/128",
    "fd00:42::42/128",
    "64:ff9b:1::/48",
    "2002::/16",
    "2001::/32",
    "::ffff:0:0:0/96",
    "::/96",
)
"""What each of them is, the fetcher's list says."""

_NAT64: Final = int(ipaddress.IPv6Address("64:ff9b::"))
_NETWORKS: Final = tuple(ipaddress.ip_network(text) for text in NEVER)
_V4: Final = tuple(network for network in _NETWORKS if isinstance(network, ipaddress.IPv4Network))
_V6: Final = tuple(network for network in _NETWORKS if isinstance(network, ipaddress.IPv6Network))


def _translated(network: ipaddress.IPv4Network) -> str:
    """Return the IPv6 network behind which NAT64 reaches an IPv4 network."""
    return str(ipaddress.IPv6Network((_NAT64 | int(network.network_address), 96 + network.prefixlen)))


EVERYWHERE_BUT_METADATA: Final[list[dict[str, Any]]] = [
    {"ipBlock": {"cidr": "0.0.0.0/0", "except": [str(network) for network in _V4]}},
    {"ipBlock": {"cidr": "::/0", "except": [*map(str, _V6), *map(_translated, _V4)]}},
]
"""Peers of a NetworkPolicy. IPv4-mapped addresses are IPv4 on the wire, so the first block is theirs."""

NAMES: Final[dict[str, Any]] = {
    "ports": [{"port": port, "protocol": protocol} for port in (53, 5353) for protocol in ("UDP", "TCP")]
}
"""Egress to DNS, wherever it is: in pods (OpenShift's listen on 5353), or on the node at a link-local address."""
