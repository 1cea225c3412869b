"""What a pod cannot mount, from the kubelet's Events about it: told while it lasts, and no longer; steady; and bounded."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from slicewise.clients.resources import PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.references import LONGEST_SECONDS, REFERENCES_SECONDS, next_events
from slicewise.controller.observe import _pod
from slicewise.objects.events import NEWS_SECONDS, TOGETHER_SECONDS, read_mount_events

NOW = 1_800_000_000.0
HUB = 'MountVolume.SetUp failed for volume "credentials" : secret "hub" not found'
EXTRA = 'MountVolume.SetUp failed for volume "extra" : configmap "extra" not found'


def stamp(seconds_ago: float) -> str:
    return datetime.fromtimestamp(NOW - seconds_ago, UTC).isoformat().replace("+00:00", "Z")


def failed(message: str, ago: float = 5, reason: str = "FailedMount") -> dict[str, Any]:
    return {"type": "Warning", "reason": reason, "message": message, "lastTimestamp": stamp(ago)}


def unmounted(*volumes: str) -> str:
    names = " ".join(volumes)
    return f"Unable to attach or mount volumes: unmounted volumes=[{names}], unattached volumes=[]: timed out waiting for the condition"


def test_the_event_that_names_the_object_goes_before_the_one_that_follows_it() -> None:
    events = [failed(HUB, 60), failed(unmounted("credentials"), 5), failed("pulled", 1, "Pulled")]
    assert read_mount_events(events, NOW) == HUB
    assert read_mount_events(events[1:], NOW) == unmounted("credentials")
    assert read_mount_events(events[2:], NOW) == ""


@pytest.mark.parametrize(
    "events",
    [[], [failed(HUB, NEWS_SECONDS)], [failed(unmounted("credentials", "weights"))], [failed("x", 1, "Scheduled")]],
    ids=["dropped after an hour", "not said any more", "only the general one was let through", "others"],
)
def test_what_was_said_stands_while_the_kubelet_says_nothing_else(events: list[dict[str, Any]]) -> None:
    assert read_mount_events(events, NOW, HUB) == HUB


def test_what_was_mended_is_not_told_any_more_where_another_volume_is_in_the_way() -> None:
    assert read_mount_events([failed(unmounted("weights"))], NOW, HUB) == unmounted("weights")
    assert read_mount_events([failed(HUB, 60), failed(unmounted("weights"))], NOW, HUB) == unmounted("weights")
    assert read_mount_events([failed(HUB, TOGETHER_SECONDS + 6), failed(EXTRA, 5)], NOW, HUB) == EXTRA


def test_two_volumes_that_fail_in_turn_do_not_take_turns_in_the_condition() -> None:
    told = read_mount_events([failed(HUB, 9), failed(EXTRA, 5)], NOW)
    for ago in ((3, 40), (60, 2), (5, 5)):
        assert read_mount_events([failed(HUB, ago[0]), failed(EXTRA, ago[1])], NOW, told) == told


@pytest.mark.parametrize("time", ["0000-01-01T00:00:00Z", "10000-01-01T09:59:59Z", stamp(-2 * NEWS_SECONDS), None])
def test_an_event_of_an_impossible_time_says_nothing(time: str | None) -> None:
    assert read_mount_events([failed("forged") | {"lastTimestamp": time}], NOW) == ""
    assert read_mount_events([failed("forged") | {"lastTimestamp": time}, failed(HUB)], NOW) == HUB


def test_words_are_one_line_of_bounded_length() -> None:
    told = read_mount_events([failed("\x1b[2J" + "x\n" * 5000)], NOW)
    assert 0 < len(told) <= 512
    assert "\n" not in told
    assert "\x1b" not in told


KEY = ("default", "chat")


def pod(version: int, uid: str = "p1", **status: Any) -> dict[str, Any]:
    labels = {
        "slicewise.dev/pool": "chat",
        "slicewise.dev/role": "worker",
        "slicewise.dev/revision": "abc",
        "slicewise.dev/zone": "a",
    }
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-a-abc-5d4f", "controller": True}
    metadata = {"name": uid, "namespace": "default", "uid": uid, "resourceVersion": str(version), "labels": labels}
    metadata |= {"ownerReferences": [owner], "creationTimestamp": stamp(60)}
    return {"metadata": metadata, "spec": {"nodeName": "node-a"}, "status": {"phase": "Pending", **status}}


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}
    cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
    return cache


def condition(kind: str) -> dict[str, Any]:
    return {"conditions": [{"type": kind, "status": "True"}]}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"initContainerStatuses": [{"name": "fetch", "state": state}]}


@pytest.mark.parametrize(
    "status",
    [
        condition("PodReadyToStartContainers"),
        waiting("ImagePullBackOff", "no such image"),
        {"initContainerStatuses": [{"name": "fetch", "state": {"running": {}}}]},
    ],
    ids=["its volumes are mounted and an image is pulled", "its image cannot be pulled", "it fetches"],
)
def test_what_a_pod_lacked_is_forgotten_as_soon_as_its_status_says_more(cache: Cache, status: dict[str, Any]) -> None:
    cache.ingest(PODS, pod(2, **waiting("PodInitializing")))
    (record,) = cache.pools[KEY].pods.values()
    assert record.creating
    record.lacks = HUB
    assert (_pod(record, {}).waiting_reason, _pod(record, {}).waiting_message) == ("FailedMount", HUB)
    cache.ingest(PODS, pod(3, **waiting("ContainerCreating")))
    (record,) = cache.pools[KEY].pods.values()
    assert record.lacks == HUB
    assert cache.ingest(PODS, pod(4, **status)) == {KEY}, "a pass is due"
    (record,) = cache.pools[KEY].pods.values()
    assert (record.creating, record.lacks) == (False, "")
    assert _pod(record, {}).waiting_reason != "FailedMount"


def test_a_pod_that_does_not_start_is_asked_about_ever_less_often(cache: Cache) -> None:
    cache.ingest(PODS, pod(2, **waiting("PodInitializing")))
    entry, born = cache.pools[KEY], NOW - 60
    assert next_events(entry, born + 5) == [REFERENCES_SECONDS]
    assert next_events(entry, born + 120) == [30.0]
    assert next_events(entry, born + 86_400) == [LONGEST_SECONDS]
    cache.ingest(PODS, pod(3, **condition("PodReadyToStartContainers")))
    assert next_events(entry, born + 120) == []
