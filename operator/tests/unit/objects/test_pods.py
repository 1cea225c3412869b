"""What decisions see of a pod and of a node."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import MIG

from slicewise.api.quantity import Bytes
from slicewise.objects.pods import held_slices, read_node, read_pod
from slicewise.pool.observed import FetchProgress
from slicewise.pool.said import ModelNeeds


def pod(status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    marks = {"slicewise.dev/revision": "aa24964c", "slicewise.dev/zone": "a"}
    container = {"name": "worker", "resources": {"limits": {MIG: "1", "cpu": "2"}}}
    return {
        "metadata": {"name": "p", "uid": "u", "labels": marks, "creationTimestamp": "2026-11-21T10:00:00Z", **metadata},
        "spec": {"nodeName": "node-a", "containers": [container]},
        "status": status or {},
    }


def init(**state: Any) -> dict[str, Any]:
    return {"initContainerStatuses": [{"name": "fetch", **state}]}


def test_labels_node_slice_and_age_are_read() -> None:
    seen = read_pod(pod(), 7).observed
    assert (seen.revision, seen.zone, seen.node, seen.resource) == ("aa24964c", "a", "node-a", MIG)
    assert seen.created_at == 1795255200.0
    assert not seen.ready
    assert not seen.terminating


def test_a_pod_that_fits_nowhere_says_so_in_the_schedulers_words() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
    seen = read_pod(pod({"conditions": [condition]}), 1).observed
    assert (seen.waiting_reason, seen.waiting_message) == ("Unschedulable", "0/3 nodes")


def test_an_image_that_cannot_be_pulled_says_so() -> None:
    waiting = {"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}
    seen = read_pod(pod(init(state=waiting)), 1).observed
    assert (seen.waiting_reason, seen.waiting_message) == ("ImagePullBackOff", "no such image")


@pytest.mark.parametrize("reason", ["PodInitializing", "ContainerCreating"])
def test_a_pod_that_is_merely_starting_waits_for_nothing(reason: str) -> None:
    assert read_pod(pod(init(state={"waiting": {"reason": reason}})), 1).observed.waiting_reason is None


def test_a_left_over_says_why_it_failed() -> None:
    seen = read_pod(pod({"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no device"}), 1).observed
    assert (seen.phase, seen.waiting_reason) == ("Failed", "UnexpectedAdmissionError")
    assert not seen.holds_slice


def test_a_running_fetch_is_to_be_asked_for_its_progress() -> None:
    record = read_pod(pod(init(state={"running": {}}) | {"podIP": "10.0.0.7"}), 1)
    assert record.fetching
    assert record.address == "10.0.0.7"
    assert record.observed.fetch is None


def test_an_ended_fetch_is_done() -> None:
    assert read_pod(pod(init(state={"terminated": {"exitCode": 0}})), 1).observed.fetch == FetchProgress(done=True)


def test_a_failed_fetch_says_its_cause() -> None:
    message = json.dumps({"reason": "DigestMismatch", "message": "got sha256:1"})
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 1, "message": message}}
    seen = read_pod(pod(init(state=state, lastState=last)), 1).observed
    assert seen.fetch == FetchProgress(reason="DigestMismatch", message="got sha256:1")


def test_a_failed_fetch_without_words_is_still_a_failure() -> None:
    seen = read_pod(pod(init(state={"terminated": {"exitCode": 137, "reason": "OOMKilled"}})), 1).observed
    assert seen.fetch == FetchProgress(reason="OOMKilled", message="exit code 137")


def test_what_a_model_takes_is_read_off_the_last_words_of_a_worker_whose_slice_was_too_small() -> None:
    said: dict[str, Any] = {"reason": "ModelTooLarge", "message": "needs 9", "on_gpu": True}
    said["memory"] = {"weights": 6, "kv_cache": 2, "buffers": 1, "total": 9, "room": 8}
    for changed, found in ({}, ModelNeeds(6, 2, 1, 9)), ({"reason": "NoToken"}, None), ({"on_gpu": False}, None):
        ended = {"terminated": {"exitCode": 14, "message": json.dumps(said | changed)}}
        status = {"containerStatuses": [{"name": "worker", "lastState": ended}]}
        assert read_pod(pod(status), 1).observed.refused_needs == found


def test_a_dead_device_is_seen_where_the_kubelet_tells() -> None:
    devices = [{"name": MIG, "resources": [{"resourceID": "x", "health": "Unhealthy"}]}]
    status = {"containerStatuses": [{"name": "worker", "allocatedResourcesStatus": devices}]}
    assert read_pod(pod(status), 1).observed.device_unhealthy


def test_a_ready_worker_is_known_by_its_container() -> None:
    status = {
        "phase": "Running",
        "conditions": [{"type": "Ready", "status": "True"}],
        "containerStatuses": [{"name": "worker", "containerID": "containerd://1"}],
    }
    assert read_pod(pod(status), 1).container == hash("containerd://1")
    assert read_pod(pod(status, deletionTimestamp="2026-11-21T10:00:00Z"), 1).container == 0


def test_slices_of_containers_add_up_and_init_containers_count_at_most() -> None:
    def container(count: str) -> dict[str, Any]:
        return {"resources": {"limits": {MIG: count, "memory": "1Gi"}}}

    spec = {"containers": [container("1"), container("2")], "initContainers": [container("2")]}
    assert held_slices(spec) == {MIG: 3}


def node(**spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": "n", "labels": {"topology.kubernetes.io/zone": "a", f"{MIG}.memory": "9728"}},
        "spec": spec,
        "status": {
            "allocatable": {MIG: "7", "cpu": "4", "hugepages-2Mi": "0", "example.com/odd": "many"},
            "conditions": [{"type": "Ready", "status": "True"}],
        },
    }


def test_a_node_offers_extended_resources_with_memory_in_bytes() -> None:
    seen = read_node(node())
    assert seen.allocatable == {MIG: 7}
    assert seen.slice_memory == {MIG: Bytes(9728 * 2**20)}
    assert (seen.zone, seen.usable) == ("a", True)


@pytest.mark.parametrize(
    ("taint", "usable"),
    [
        ({"key": "dedicated", "effect": "NoSchedule"}, False),
        ({"key": "dedicated", "effect": "PreferNoSchedule"}, True),
        ({"key": "nvidia.com/gpu", "effect": "NoSchedule"}, True),
        ({"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}, True),
    ],
)
def test_a_taint_keeps_workers_away_unless_they_tolerate_it(taint: dict[str, str], usable: bool) -> None:
    assert read_node(node(taints=[taint])).usable is usable


def test_a_cordoned_node_is_not_usable() -> None:
    assert not read_node(node(unschedulable=True)).usable


NOT_OURS = [
    "[" * 4096,
    '{"reason":' * 400,
    "[1, 2]",
    '"text"',
    '{"reason": ["x"]}',
    "9" * 4096,
    '{"message": "no reason"}',
]


@pytest.mark.parametrize("text", NOT_OURS)
def test_any_last_words_are_taken_as_text(text: str) -> None:
    """A container may write what it likes into its termination log; the watch that brings it must go on."""
    ended = {"terminated": {"exitCode": 1, "reason": "Error", "message": text}}
    fetch = read_pod(pod(init(state=ended)), 1).observed.fetch
    assert fetch is not None
    assert fetch.reason in {"Error", "Unknown"}
    assert len(fetch.message) <= 512


def test_last_words_cannot_steer_a_terminal_nor_name_a_reason_that_is_no_word() -> None:
    words = json.dumps({"reason": "No Such\nWord", "message": "\x1b]0;title\x07 lost\r\nall"})
    ended = {"terminated": {"exitCode": 1, "message": words}}
    fetch = read_pod(pod(init(state=ended)), 1).observed.fetch
    assert fetch == FetchProgress(reason="Unknown", message="]0;title  lost all")


@pytest.mark.parametrize("label", ["0", "-1", "1e9", "9" * 63, "", "4_0", " 40"])
def test_a_label_that_is_no_amount_of_memory_is_left_aside(label: str) -> None:
    body = offering({f"{MIG}.memory": label})
    assert read_node(body).slice_memory == {}


@pytest.mark.parametrize(
    ("amount", "counted"),
    [
        ("9223372036854775807", 1_000_000),
        ("-3", 0),
        ("1e999999999", None),
        ("1" * 400, None),
        ("2E18", 1_000_000),
        ("2E19", None),
        ("x", None),
    ],
)
def test_a_number_of_slices_is_bounded(amount: str, counted: int | None) -> None:
    seen = read_node(offering({}, allocatable={MIG: amount})).allocatable
    assert seen.get(MIG) == counted


def offering(marks: dict[str, str], *, allocatable: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "metadata": {"name": "node-a", "uid": "n", "labels": marks},
        "spec": {},
        "status": {"allocatable": allocatable or {MIG: "2"}},
    }


def started(
    placed: str = "2026-11-21T10:00:05Z", served: str = "2026-11-21T10:00:47Z", restarts: int = 0
) -> float | None:
    """What is read of a worker that has its place and serves since these times."""
    conditions = [
        {"type": "PodScheduled", "status": "True", "lastTransitionTime": placed},
        {"type": "Ready", "status": "True", "lastTransitionTime": served},
    ]
    containers = [{"name": "worker", "ready": True, "restartCount": restarts, "state": {"running": {}}}]
    found = read_pod(pod({"phase": "Running", "conditions": conditions, "containerStatuses": containers}), 1)
    return found.observed.started_in


def test_a_cold_start_is_from_the_place_on_a_node_until_the_worker_serves() -> None:
    assert started() == 42.0


def test_what_says_nothing_of_a_cold_start_is_none() -> None:
    assert started(restarts=1) is None, "it served before"
    assert started(served="2026-11-21T09:00:00Z") is None, "clocks that differ"
    assert started(served="2026-11-22T10:00:00Z") is None, "it was stuck"
    assert read_pod(pod({"conditions": [{"type": "Ready", "status": "True"}]}), 1).observed.started_in is None
