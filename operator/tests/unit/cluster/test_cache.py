"""What the cache keeps, and whom an event concerns."""

from __future__ import annotations

from typing import Any

import pytest
from builders import MIG

from slicewise.clients.resources import BUDGETS, CLAIMS, DEPLOYMENTS, NODES, PODS, POOLS, REVISIONS, SERVICES, Resource
from slicewise.cluster.cache import Cache
from slicewise.cluster.records import hash_number, read_revision
from slicewise.controller.diff import compare, complete, superfluous
from slicewise.pool.revision import next_number

KEY = ("default", "chat")


def pool(version: int = 1, uid: str = "pool-1", **spec: Any) -> dict[str, Any]:
    metadata = {"name": "chat", "namespace": "default", "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "spec": spec}


def child(version: int = 2, uid: str = "child-1", owner: str = "pool-1", **fields: Any) -> dict[str, Any]:
    reference = {"apiVersion": "slicewise.dev/v1alpha1", "kind": "InferencePool", "name": "chat", "uid": owner}
    metadata = {
        "name": "chat",
        "namespace": "default",
        "uid": uid,
        "resourceVersion": str(version),
        "labels": {"slicewise.dev/pool": "chat"},
        "ownerReferences": [{**reference, "controller": True}],
    }
    return {"metadata": metadata, **fields}


def pod(version: int, node: str | None = "node-a", phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "namespace": "default",
            "uid": "pod-1",
            "resourceVersion": str(version),
            "labels": {"slicewise.dev/pool": "chat", "slicewise.dev/zone": "a", "slicewise.dev/revision": "aa24964c"},
            "ownerReferences": [
                {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-a-aa24964c-5d4f", "controller": True}
            ],
        },
        "spec": {"nodeName": node, "containers": [{"name": "worker", "resources": {"limits": {MIG: "1"}}}]},
        "status": {"phase": phase},
    }


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.ingest(POOLS, pool())
    return cache


def test_an_event_that_is_older_than_what_is_known_says_nothing(cache: Cache) -> None:
    assert cache.ingest(POOLS, pool(version=5)) == {KEY}
    assert cache.ingest(POOLS, pool(version=4)) == set()
    assert cache.pools[KEY].version == 5


def test_a_change_of_status_of_a_child_concerns_nobody(cache: Cache) -> None:
    assert cache.ingest(SERVICES, child(2, spec={"a": 1})) == {KEY}
    assert cache.ingest(SERVICES, child(3, spec={"a": 1}, status={"b": 1})) == set()
    assert cache.ingest(SERVICES, child(4, spec={"a": 2})) == {KEY}


def test_a_refusal_of_replicas_concerns_the_pool(cache: Cache) -> None:
    failed = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota"}]}
    cache.ingest(DEPLOYMENTS, child(2, spec={"replicas": 1}))
    assert cache.ingest(DEPLOYMENTS, child(3, spec={"replicas": 1}, status=failed)) == {KEY}


def test_an_object_made_anew_under_its_name_takes_the_place_of_the_old_one_whichever_event_is_first(
    cache: Cache,
) -> None:
    cache.ingest(SERVICES, child(2, uid="old"))
    cache.ingest(SERVICES, child(9, uid="new"))
    assert cache.ingest(SERVICES, child(8, uid="old"), deleted=True) == set()
    assert [known.uid for known in cache.pools[KEY].children] == ["new"]


def test_an_answer_that_comes_after_the_deletion_brings_nothing_back(cache: Cache) -> None:
    cache.ingest(SERVICES, child(3), deleted=True)
    cache.ingest_own(SERVICES, child(2))
    assert cache.pools[KEY].children == []


def test_a_pool_that_is_gone_is_forgotten_with_its_last_child(cache: Cache) -> None:
    cache.ingest(SERVICES, child())
    cache.ingest(POOLS, pool(2), deleted=True)
    assert list(cache.existing()) == []
    cache.ingest(SERVICES, child(), deleted=True)
    assert cache.pools == {}


@pytest.mark.parametrize("resource", [POOLS, SERVICES, PODS])
def test_a_complete_list_ends_what_it_lacks_but_not_what_is_newer(cache: Cache, resource: Resource) -> None:
    cache.ingest(SERVICES, child(2))
    cache.ingest(PODS, pod(2))
    assert cache.retain(resource, None, 1, set()) == ({KEY} if resource is POOLS else set())
    assert cache.retain(resource, "elsewhere", 10, set()) == set()
    cache.ingest(POOLS, pool(2, uid="pool-2"))
    assert cache.retain(resource, None, 10, set()) == {KEY}


def test_slices_are_counted_where_pods_hold_them(cache: Cache) -> None:
    cache.ingest(PODS, pod(1, node=None, phase="Pending"))
    assert cache.holdings == {}
    cache.ingest(PODS, pod(2))
    assert cache.holdings == {("node-a", MIG): 1}
    cache.ingest(PODS, pod(3, phase="Failed"))
    assert cache.holdings == {}
    assert cache.workers == {"pod-1"}
    cache.ingest(PODS, pod(4), deleted=True)
    assert cache.workers == set()


STRANGERS = {
    "without an owner": {"ownerReferences": []},
    "of another controller": {
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "StatefulSet", "controller": True}]
    },
    "of another deployment": {
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "mine-5d4f", "controller": True}]
    },
    "of a kind of the same name": {
        "ownerReferences": [
            {"apiVersion": "x.io/v1", "kind": "ReplicaSet", "name": "chat-a-aa24964c-5d4f", "controller": True}
        ]
    },
    "of another zone than it says": {
        "labels": {"slicewise.dev/pool": "chat", "slicewise.dev/zone": "b", "slicewise.dev/revision": "aa24964c"}
    },
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_pod_that_only_carries_our_labels_is_no_worker(cache: Cache, what: str) -> None:
    """Else it would count for the floor, hold a slice that nobody counts, and be deleted when it has failed."""
    stranger = pod(2, phase="Failed")
    stranger["metadata"] |= STRANGERS[what]
    assert cache.ingest(PODS, stranger) == set()
    assert (cache.pools[KEY].pods, cache.workers, cache.holdings) == ({}, set(), {})


def test_a_worker_that_is_orphaned_is_none_any_more(cache: Cache) -> None:
    cache.ingest(PODS, pod(2))
    assert cache.workers == {"pod-1"}
    orphan = pod(3)
    orphan["metadata"]["ownerReferences"] = []
    assert cache.ingest(PODS, orphan) == {KEY}
    assert (cache.pools[KEY].pods, cache.workers, cache.holdings) == ({}, set(), {})
    assert cache.ingest(PODS, pod(4)) == {KEY}, "adopted again"
    assert cache.workers == {"pod-1"}


def node(version: int, slices: str) -> dict[str, Any]:
    metadata = {"name": "node-a", "uid": "node-1", "resourceVersion": str(version)}
    return {"metadata": metadata, "status": {"allocatable": {MIG: slices}}}


def test_a_node_concerns_the_pools_that_take_its_slices_wait_or_have_a_pod_there(cache: Cache) -> None:
    entry = cache.pools[KEY]
    assert cache.ingest(NODES, node(1, "1")) == {KEY}, "it waits"
    entry.satisfied, entry.resource = True, "nvidia.com/other"
    assert cache.ingest(NODES, node(2, "2")) == set()
    cache.ingest(PODS, pod(1))
    assert cache.ingest(NODES, node(3, "3")) == {KEY}, "a pod is there"
    assert cache.ingest(NODES, node(4, "3")) == set(), "nothing that matters has changed"


SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "chat", "namespace": "default"},
    "spec": {"a": 1},
}


def applied(cache: Cache, version: int = 2) -> dict[str, Any]:
    """Return the Service as the API server has it once it was applied."""
    manifest = complete(cache.pools[KEY], SERVICE)
    metadata = {**manifest["metadata"], "uid": "child-1", "resourceVersion": str(version)}
    metadata["labels"] = {"slicewise.dev/pool": "chat"}
    return {**manifest, "metadata": metadata}


def verdict(cache: Cache) -> str:
    return compare(cache.pools[KEY], [SERVICE])[0].action


def test_what_is_not_there_is_created_and_only_created(cache: Cache) -> None:
    (change,) = compare(cache.pools[KEY], [SERVICE])
    assert change.action == "create"
    assert change.body()["metadata"]["resourceVersion"] == "1"


def test_what_is_as_it_should_be_is_kept_and_its_body_dropped(cache: Cache) -> None:
    cache.ingest(SERVICES, applied(cache))
    assert verdict(cache) == "keep"
    assert cache.pools[KEY].children[0].body is None
    assert verdict(cache) == "keep"


def test_what_drifted_is_updated_and_only_that_very_object(cache: Cache) -> None:
    cache.ingest(SERVICES, applied(cache) | {"spec": {"a": 2}})
    (change,) = compare(cache.pools[KEY], [SERVICE])
    assert change.action == "update"
    assert change.body()["metadata"]["uid"] == "child-1"


def test_a_field_that_others_added_is_no_drift(cache: Cache) -> None:
    cache.ingest(SERVICES, applied(cache))
    compare(cache.pools[KEY], [SERVICE])
    cache.ingest(SERVICES, applied(cache, 3) | {"spec": {"a": 1, "clusterIP": "10.0.0.1"}})
    assert verdict(cache) == "keep"


def test_somebody_elses_object_is_foreign_and_a_former_pools_is_waited_for(cache: Cache) -> None:
    other = applied(cache)
    other["metadata"]["ownerReferences"] = []
    cache.ingest(SERVICES, other)
    assert verdict(cache) == "foreign"
    former = applied(cache, 3)
    former["metadata"]["ownerReferences"] = child(owner="pool-0")["metadata"]["ownerReferences"]
    cache.ingest(SERVICES, former)
    assert verdict(cache) == "wait"


def test_only_what_the_pools_uid_owns_is_superfluous_and_never_a_claim(cache: Cache) -> None:
    cache.ingest(BUDGETS, child(uid="mine"))
    cache.ingest(CLAIMS, child(uid="claim"))
    foreign = child(uid="foreign", owner="pool-0")
    foreign["metadata"]["name"] = "other"
    cache.ingest(BUDGETS, foreign)
    assert [known.uid for known in superfluous(cache.pools[KEY], [])] == ["mine"]
    planned = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "chat"}}
    assert superfluous(cache.pools[KEY], [planned]) == []


TEMPLATE = {"metadata": {"labels": {}}, "spec": {"containers": []}}
INPUTS = {"model": {}}
BROKEN = [
    None,
    [],
    "text",
    {},
    {"template": TEMPLATE},
    {"inputs": {}, "template": TEMPLATE},
    {"inputs": INPUTS, "template": {"spec": {}}},
    {"inputs": INPUTS, "template": {"metadata": {"labels": "x"}, "spec": {}}},
    {"inputs": INPUTS, "template": TEMPLATE, "resource": 7},
]


@pytest.mark.parametrize("data", BROKEN)
def test_a_controller_revision_that_is_not_whole_is_no_revision(cache: Cache, data: Any) -> None:
    cache.ingest(REVISIONS, child(data=data, revision=1))
    (record,) = cache.pools[KEY].children
    assert read_revision(record) is None


def test_the_number_of_a_controller_revision_leaves_room_for_the_next(cache: Cache) -> None:
    cache.ingest(REVISIONS, child(data={"inputs": INPUTS, "template": TEMPLATE, "resource": None}, revision=2**63 - 1))
    seen = read_revision(cache.pools[KEY].children[0])
    assert seen is not None
    assert next_number([seen]) == 1


@pytest.mark.parametrize("text", ["f" * 200_000, "0x1f", "-1", " 1", "1_0", ""])
def test_an_annotation_that_is_no_hash_of_ours_is_none(text: str) -> None:
    assert hash_number(text) is None


def test_a_cold_start_stays_what_it_was_when_the_worker_was_not_ready_for_a_while(cache: Cache) -> None:
    def since(version: int, ready: str) -> dict[str, Any]:
        times = {"PodScheduled": "2026-11-21T10:00:00Z", "Ready": ready}
        conditions = [{"type": kind, "status": "True", "lastTransitionTime": when} for kind, when in times.items()]
        body = pod(version)
        return {**body, "status": {**body["status"], "conditions": conditions}}

    cache.ingest(POOLS, pool())
    for version, ready in ((5, "2026-11-21T10:00:20Z"), (6, "2026-11-21T10:50:00Z")):
        cache.ingest(PODS, since(version, ready))
        (record,) = cache.pools["default", "chat"].pods.values()
        assert record.observed.started_in == 20.0
