"""The guard of `slicewise-fetch` and the NetworkPolicies of workers and gateways keep to one list of addresses."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA, NEVER
from slicewise.pool.plan import plan_pool
from slicewise_worker.weights import addresses

METADATA = [
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::6464:64c8",
    "64:ff9b:1::a9fe:a9fe",
    "64:ff9b:1:a9fe:a9:fe00::",
    "2002:a9fe:a9fe::1",
    "::169.254.169.254",
    "::ffff:0:169.254.169.254",
]


def peers(**spec: Any) -> list[list[dict[str, Any]]]:
    """The peers by address in the egress rules of each NetworkPolicy of a pool."""
    plan = plan_pool(make_pool(**spec), make_observed(), 0.0)
    policies = [item for item in plan.children or () if item["kind"] == "NetworkPolicy"]
    assert len(policies) == (4 if "jobs" in spec else 2), "workers and gateway, the API of jobs and dispatchers"
    return [rule["to"] for policy in policies for rule in policy["spec"]["egress"] if "ipBlock" in str(rule.get("to"))]


def lets_out(blocks: list[dict[str, Any]], text: str) -> bool:
    address = ipaddress.ip_address(text)

    def inside(network: str) -> bool:
        found = ipaddress.ip_network(network)
        return found.version == address.version and address in found

    return any(
        inside(block["ipBlock"]["cidr"]) and not any(map(inside, block["ipBlock"]["except"])) for block in blocks
    )


def test_both_have_the_same_list() -> None:
    assert NEVER == addresses.NEVER


def test_workers_and_gateways_use_it() -> None:
    cache = {"responseCache": {"redisSecretRef": {"name": "redis"}}}
    # The gateway twice: the ports of the API server, and a Redis.
    assert peers(replicas=3, gateway=cache) == [EVERYWHERE_BUT_METADATA] * 3


def test_the_programs_of_jobs_use_it_for_their_database() -> None:
    jobs = {"databaseSecretRef": {"name": "jobs-db"}}
    assert peers(jobs=jobs) == [EVERYWHERE_BUT_METADATA] * 4


@pytest.mark.parametrize("address", METADATA)
def test_no_way_leads_to_a_metadata_service(address: str) -> None:
    assert addresses.refusal(address, allow_private=True)
    assert not lets_out(EVERYWHERE_BUT_METADATA, address)


@pytest.mark.parametrize("network", NEVER)
def test_the_ends_of_each_network_are_closed_to_both(network: str) -> None:
    found = ipaddress.ip_network(network)
    for address in {found[0], found[-1]}:
        assert addresses.refusal(str(address), allow_private=True)
        assert not lets_out(EVERYWHERE_BUT_METADATA, str(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "10.0.0.1", "2606:4700:4700::1111", "fd00::1", "64:ff9b::101:101"])
def test_what_a_worker_may_fetch_from_the_policy_lets_out(address: str) -> None:
    assert addresses.refusal(address, allow_private=True) is None
    assert lets_out(EVERYWHERE_BUT_METADATA, address)


def test_every_exception_lies_inside_its_block_as_the_api_server_wants_it() -> None:
    for block in EVERYWHERE_BUT_METADATA:
        whole = ipaddress.ip_network(block["ipBlock"]["cidr"])
        for text in block["ipBlock"]["except"]:
            inner = ipaddress.ip_network(text)
            assert inner != whole
            assert inner.version == whole.version
