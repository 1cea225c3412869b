"""Pods that carry the labels of workers and are none: known as far as a budget counts them, and otherwise without any effect."""

from __future__ import annotations

from typing import Any

import pytest
from builders import MIG

from slicewise.clients.resources import PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.strangers import MOST_STRANGERS, by_zone

KEY = ("default", "chat")


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    cache.ingest(POOLS, pool())
    return cache


def pool() -> dict[str, Any]:
    return {"metadata": {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}, "spec": {}}


def worker(version: int) -> dict[str, Any]:
    """A ready worker."""
    body = stranger(version, uid="pod-1")
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-a-aa24964c-5d4f", "controller": True}
    body["metadata"]["ownerReferences"] = [owner]
    return body


def stranger(version: int, uid: str = "stranger", **status: Any) -> dict[str, Any]:
    """A ready pod with the labels of a worker that nobody owns."""
    marks = {
        "app.kubernetes.io/managed-by": "slicewise",
        "slicewise.dev/pool": "chat",
        "slicewise.dev/role": "worker",
        "slicewise.dev/zone": "a",
        "slicewise.dev/revision": "aa24964c",
    }
    metadata = {"name": uid, "namespace": "default", "uid": uid, "resourceVersion": str(version), "labels": marks}
    ready = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    container = {"name": "worker", "resources": {"limits": {MIG: "1"}}}
    spec = {"nodeName": "node-a", "containers": [container]}
    return {"metadata": metadata, "spec": spec, "status": {**ready, **status}}


def strangers(cache: Cache) -> dict[str, int]:
    return dict(by_zone(cache.pools[KEY].strangers)) if KEY in cache.pools else {}


def test_what_a_budget_counts_beside_workers_is_known_and_wakes_nobody(cache: Cache) -> None:
    assert cache.ingest(PODS, stranger(2)) == set()
    assert (strangers(cache), cache.pools[KEY].pods, cache.workers, cache.holdings) == ({"a": 1}, {}, set(), {})
    assert cache.ingest(PODS, stranger(3, conditions=[])) == set()
    assert strangers(cache) == {}, "it is not ready any more"
    cache.ingest(PODS, stranger(4))
    going = stranger(5)
    going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    cache.ingest(PODS, going)
    assert strangers(cache) == {}, "it terminates"


@pytest.mark.parametrize("missing", ["app.kubernetes.io/managed-by", "slicewise.dev/role", "slicewise.dev/zone"])
def test_a_pod_that_no_budget_selects_is_not_even_a_stranger(cache: Cache, missing: str) -> None:
    other = stranger(2)
    del other["metadata"]["labels"][missing]
    cache.ingest(PODS, other)
    assert strangers(cache) == {}


def test_a_stranger_is_known_before_its_pool_and_forgotten_when_a_list_lacks_it() -> None:
    cache = Cache()
    assert cache.ingest(PODS, stranger(2)) == set()
    assert list(cache.existing()) == []
    cache.ingest(POOLS, pool())
    assert strangers(cache) == {"a": 1}
    assert cache.retain(PODS, None, 1, set()) == set()
    assert strangers(cache) == {"a": 1}, "it is newer than the list"
    assert cache.retain(PODS, None, 9, set()) == set()
    assert strangers(cache) == {}


def test_strangers_of_no_pool_leave_nothing_behind() -> None:
    cache = Cache()
    cache.ingest(PODS, stranger(2))
    cache.ingest(PODS, stranger(3), deleted=True)
    assert cache.pools == {}
    cache.ingest(PODS, stranger(4, uid="another"))
    cache.retain(PODS, None, 9, set())
    assert cache.pools == {}


def test_a_worker_that_is_orphaned_becomes_a_stranger_until_it_is_adopted(cache: Cache) -> None:
    cache.ingest(PODS, worker(2))
    assert (strangers(cache), cache.workers) == ({}, {"pod-1"})
    assert cache.ingest(PODS, stranger(3, uid="pod-1")) == {KEY}
    assert (strangers(cache), cache.workers) == ({"a": 1}, set())
    cache.ingest(PODS, worker(4))
    assert (strangers(cache), cache.workers) == ({}, {"pod-1"})


def test_whoever_makes_strangers_without_end_takes_a_bounded_place(cache: Cache) -> None:
    for number in range(MOST_STRANGERS + 50):
        cache.ingest(PODS, stranger(2, uid=f"stranger-{number}"))
    assert strangers(cache) == {"a": MOST_STRANGERS}
    cache.ingest(PODS, stranger(3, uid="stranger-0"), deleted=True)
    cache.ingest(PODS, stranger(3, uid="one-more"))
    assert strangers(cache) == {"a": MOST_STRANGERS}


def test_pods_of_the_fallback_are_known_apart_from_workers_by_their_owner(cache: Cache) -> None:
    body = worker(2)
    body["metadata"]["labels"]["slicewise.dev/role"] = "fallback"
    body["metadata"]["ownerReferences"][0]["name"] = "chat-fallback-5d5d5d5d5d"
    assert cache.ingest(PODS, body) == {KEY}
    entry = cache.pools[KEY]
    assert (list(entry.fallback_pods), entry.pods, entry.strangers) == (["pod-1"], {}, {})
    body["metadata"]["ownerReferences"][0]["name"] = "other-fallback-5d5d5d5d5d"
    body["metadata"]["resourceVersion"] = "3"
    assert cache.ingest(PODS, body) == {KEY}
    assert entry.fallback_pods == {}
    body["metadata"]["ownerReferences"][0]["name"] = "chat-fallback-5d5d5d5d5d"
    body["metadata"]["resourceVersion"] = "4"
    cache.ingest(PODS, body)
    assert cache.retain(PODS, None, 5, set()) == {KEY}
    assert entry.fallback_pods == {}
