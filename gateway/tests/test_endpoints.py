"""Which endpoints of the cluster Envoy is told of."""

from __future__ import annotations

from typing import Any

import pytest

from slicewise_gateway.agent.endpoints import build_eds, count_serving
from slicewise_gateway.agent.plan import Backend, ClusterPlan, Edge

PLAN = ClusterPlan(revision="aaaa1111", backends=(Backend(service="chat", port="http"),))


def found(*endpoints: dict[str, Any], port_name: str = "http", kind: str = "IPv4") -> dict[str, Any]:
    return {
        "metadata": {"name": "x", "labels": {"kubernetes.io/service-name": "chat"}},
        "addressType": kind,
        "ports": [{"name": "metrics", "port": 1}, {"name": port_name, "port": 8080}],
        "endpoints": list(endpoints),
    }


def endpoint(address: str = "10.0.0.1", **conditions: bool) -> dict[str, Any]:
    return {"addresses": [address], "conditions": conditions, "targetRef": {"kind": "Pod", "name": f"pod-{address}"}}


def listed(*slices: dict[str, Any], edge: Edge | None = None) -> list[list[tuple[str, str]]]:
    groups = build_eds("rev-aaaa1111", PLAN, slices, edge)["resources"][0]["endpoints"]
    return [
        [
            (entry["endpoint"]["address"]["socket_address"]["address"], entry.get("health_status", ""))
            for entry in group["lb_endpoints"]
        ]
        for group in groups
    ]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({}, ["HEALTHY"]),
        ({"ready": True, "serving": True, "terminating": False}, ["HEALTHY"]),
        ({"ready": False, "serving": True, "terminating": True}, ["DRAINING"]),
        ({"ready": False, "serving": False, "terminating": True}, []),
        ({"ready": False}, []),
    ],
)
def test_who_is_ready_is_asked_who_still_serves_is_drained_and_who_is_neither_is_left_out(
    conditions: dict[str, bool], expected: list[str]
) -> None:
    assert [health for _, health in listed(found(endpoint(**conditions)))[0]] == expected


def test_an_address_in_two_slices_is_one_endpoint_and_the_ready_entry_wins() -> None:
    leaving = endpoint(ready=False, serving=True, terminating=True)
    for slices in ([found(leaving), found(endpoint())], [found(endpoint()), found(leaving)]):
        assert listed(*slices) == [[("10.0.0.1", "HEALTHY")]]


def test_slices_of_other_services_names_and_ports_do_not_matter() -> None:
    other = found(endpoint())
    other["metadata"]["labels"] = {}
    assert listed(other, found(endpoint(), port_name="grpc"), found(endpoint("a.b"), kind="FQDN")) == [[]]


def test_the_edge_comes_after_all_workers_and_counts_as_none() -> None:
    eds = build_eds("rev-aaaa1111", PLAN, [found(endpoint("fd00::1"), kind="IPv6")], Edge(address="127.0.0.1", port=1))
    assert [group["priority"] for group in eds["resources"][0]["endpoints"]] == [0, 1]
    assert count_serving(eds) == 1


def test_equal_endpoints_in_another_order_are_the_same_file() -> None:
    one, two = endpoint("10.0.0.1"), endpoint("10.0.0.2")
    assert build_eds("c", PLAN, [found(one, two)], None) == build_eds("c", PLAN, [found(two), found(one)], None)
