"""The device plugin that stands in for GPUs does what a GPU's does: it offers, hands out, loses and regains devices."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.support.api import Api
from e2e.support.nodes import Nodes
from e2e.support.polling import eventually, patiently
from e2e.support.pool import SLICE
from e2e.support.programs import kubectl

pytestmark = pytest.mark.cluster
SPACE = "deviceplugin-test"
ZONE = "a"


@pytest.fixture
def nodes(cluster: Api) -> Iterator[Nodes]:
    nodes = Nodes(cluster)
    # A run that was killed may have left a namespace, dead devices, or too many.
    kubectl("delete", "namespace", SPACE, "--ignore-not-found", patiently(110))
    nodes.put_back()
    kubectl("create", "namespace", SPACE)
    yield nodes
    kubectl("delete", "namespace", SPACE, patiently(110))
    nodes.put_back()


def hold_a_slice(name: str, zone: str) -> str:
    """Start a pod that asks for one slice in the zone, and return the device that it was given."""
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": SPACE},
        "spec": {
            "nodeSelector": {"topology.kubernetes.io/zone": zone},
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "holder",
                    "image": "slicewise-worker:0.1.0",
                    "imagePullPolicy": "Never",
                    "args": ["python3", "-c", "import signal; signal.pause()"],
                    "resources": {"limits": {SLICE: "1"}},
                }
            ],
        },
    }
    kubectl("apply", "-f", "-", stdin=json.dumps(pod))
    kubectl("-n", SPACE, "wait", "--for=condition=Ready", f"pod/{name}", patiently(110))
    return kubectl("-n", SPACE, "exec", name, "--", "printenv", "NVIDIA_VISIBLE_DEVICES").strip()


def health(name: str) -> list[dict[str, Any]]:
    pod = json.loads(kubectl("-n", SPACE, "get", "pod", name, "-o", "json"))
    return list(pod["status"]["containerStatuses"][0]["allocatedResourcesStatus"][0]["resources"])


def test_two_pods_of_a_node_are_given_two_devices(nodes: Nodes) -> None:
    node = nodes.in_zone(ZONE)
    assert {hold_a_slice("one", ZONE), hold_a_slice("two", ZONE)} == {f"{node}-mig-1g.10gb-0", f"{node}-mig-1g.10gb-1"}


def test_a_dead_device_leaves_the_node_and_marks_its_pod_until_it_comes_back(nodes: Nodes) -> None:
    node = nodes.in_zone(ZONE)
    device = hold_a_slice("holder", ZONE)

    nodes.devices("kill", device)
    eventually("one slice is left", lambda: _offers(nodes, node, 1), within=30)
    eventually("the pod says so", lambda: _is(health("holder"), device, "Unhealthy"), within=30)

    nodes.devices("heal", device)
    eventually("both slices are back", lambda: _offers(nodes, node, 2), within=30)
    eventually("the pod says so", lambda: _is(health("holder"), device, "Healthy"), within=30)


def test_a_node_can_offer_other_slices(nodes: Nodes) -> None:
    node = nodes.in_zone(ZONE)
    nodes.devices("offer", node, f"{SLICE}=3")
    eventually("three slices", lambda: _offers(nodes, node, 3), within=30)


def _offers(nodes: Nodes, node: str, count: int) -> None:
    assert nodes.slices(node) == count


def _is(resources: list[dict[str, Any]], device: str, state: str) -> None:
    assert resources == [{"resourceID": device, "health": state}]
