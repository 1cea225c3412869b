"""Metrics of pools and slices: what the status says and the cache knows, as Prometheus reads it."""

from __future__ import annotations

from typing import Any

import pytest
from builders import MIG
from prometheus_client.parser import text_string_to_metric_families

from slicewise.clients.resources import NODES, PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.shown import pools_now, slices_now
from slicewise.telemetry.metrics import Metrics
from slicewise.telemetry.pools import read_shown

KEY = ("default", "chat")
ANALYSING: dict[str, Any] = {
    "model": "tiny",
    "slice": {"resource": MIG},
    "revisions": {"stable": "aa24964c", "canary": "91bd0200"},
    "conditions": [{"type": "Ready", "status": "False", "reason": "RolloutInProgress", "message": "…"}],
    "zones": [{"name": "a", "desired": 3, "ready": 1, "floor": 2}],
    "rollout": {
        "phase": "Analysing",
        "weight": 5,
        "verdict": {
            "verdict": "Undecided",
            "canary": {"requests": 40, "failed": 1},
            "stable": {"requests": 760},
            "evidence": {"failedAbove": 1.5},
        },
    },
}


def node(name: str, offers: int, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "uid": name, "resourceVersion": "1", "labels": {"topology.kubernetes.io/zone": "a"}}
    status = {"conditions": [{"type": "Ready", "status": "True"}], "allocatable": {MIG: str(offers)}}
    return {"metadata": metadata, "spec": spec, "status": status}


def worker(name: str, on: str | None, ready: bool = False, **changed: Any) -> dict[str, Any]:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-a-aa24964c-5d4f", "controller": True}
    marks = {"slicewise.dev/pool": "chat", "slicewise.dev/zone": "a", "slicewise.dev/revision": "aa24964c"}
    metadata = {"name": name, "namespace": "default", "uid": name, "resourceVersion": "1", "labels": marks}
    status = {"phase": "Running", "conditions": [{"type": "Ready", "status": str(ready)}], **changed}
    spec = {"nodeName": on, "containers": [{"name": "worker", "resources": {"limits": {MIG: "1"}}}]}
    return {"metadata": {**metadata, "ownerReferences": [owner]}, "spec": spec, "status": status}


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}
    cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
    cache.pools[KEY].resource = MIG
    cache.ingest(NODES, node("open", 4))
    cache.ingest(NODES, node("closed", 2, unschedulable=True))
    return cache


def served(cache: Cache) -> dict[tuple[str, ...], float]:
    """What a scrape says: (metric, values of its labels in the order of their names, but namespace and pool) → value."""
    metrics = Metrics()
    metrics.show_pools(lambda: pools_now(cache), lambda: slices_now(cache))
    return {
        (
            sample.name,
            *(value for label, value in sorted(sample.labels.items()) if label not in {"namespace", "pool"}),
        ): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_slices_are_held_open_or_closed_and_add_up_to_what_nodes_offer(cache: Cache) -> None:
    cache.ingest(PODS, worker("one", "open", ready=True))
    cache.ingest(PODS, worker("two", "closed", ready=True))
    cache.ingest(PODS, worker("three", None, phase="Pending"))
    seen = {labels[2]: number for labels, number in slices_now(cache).items()}
    assert seen == {"held": 2, "open": 3, "closed": 1}


def test_a_resource_that_is_no_slice_of_any_pool_is_not_shown(cache: Cache) -> None:
    cache.pools[KEY].resource = None
    assert slices_now(cache) == {}


def test_each_worker_is_in_one_state(cache: Cache) -> None:
    pods = {
        "ready": worker("ready", "open", ready=True),
        "starting": worker("starting", "open"),
        "unplaced": worker("unplaced", None, phase="Pending"),
        "failed": worker("failed", "open", phase="Failed"),
        "lost": worker("lost", "deleted", ready=True),
        "ending": worker("ending", "open", ready=True),
        "fetching": worker(
            "fetching", "open", phase="Pending", initContainerStatuses=[{"name": "fetch", "state": {"running": {}}}]
        ),
    }
    pods["ending"]["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    for body in pods.values():
        cache.ingest(PODS, body)
    shown = served(cache)
    assert {key[1]: value for key, value in shown.items() if key[0] == "slicewise_pool_workers"} == dict.fromkeys(
        pods, 1
    )


def test_a_pool_that_was_never_reconciled_has_workers_and_no_more(cache: Cache) -> None:
    cache.ingest(PODS, worker("one", "open"))
    assert {key[0] for key in served(cache) if "pool" in key[0] or "rollout" in key[0]} == {
        "slicewise_pool_workers",
        "slicewise_pool_worker_restarts_total",
    }


def test_what_the_status_says_is_served(cache: Cache) -> None:
    cache.pools[KEY].shown = read_shown(ANALYSING)
    shown = served(cache)
    assert {
        ("slicewise_pool_info", "91bd0200", "tiny", MIG, "aa24964c"): 1,
        ("slicewise_pool_condition", "RolloutInProgress", "False", "Ready"): 1,
        ("slicewise_pool_workers_wanted", "a"): 3,
        ("slicewise_pool_floor", "a"): 2,
        ("slicewise_rollout_phase", "Analysing"): 1,
        ("slicewise_rollout_weight_ratio",): 0.05,
        ("slicewise_rollout_requests", "requests", "canary"): 40,
        ("slicewise_rollout_requests", "failed", "canary"): 1,
        ("slicewise_rollout_requests", "requests", "stable"): 760,
        ("slicewise_rollout_evidence", "failed_above"): 1.5,
    }.items() <= shown.items()


def test_the_verdict_on_a_canary_that_is_gone_is_not_served(cache: Cache) -> None:
    cache.pools[KEY].shown = read_shown({**ANALYSING, "revisions": {"stable": "aa24964c"}})
    names = {key[0] for key in served(cache)}
    assert "slicewise_rollout_phase" in names
    assert not names & {"slicewise_rollout_weight_ratio", "slicewise_rollout_requests", "slicewise_rollout_evidence"}


def test_restarts_are_counted_for_each_worker_that_exists(cache: Cache) -> None:
    calm = worker("calm", "open", containerStatuses=[{"name": "worker", "restartCount": 0}])
    failing = worker("failing", "open", containerStatuses=[{"name": "worker", "restartCount": 6}])
    for body in (calm, failing):
        cache.ingest(PODS, body)
    name = "slicewise_pool_worker_restarts_total"
    assert {(name, "calm", "a"): 0, (name, "failing", "a"): 6}.items() <= served(cache).items()
    cache.ingest(PODS, failing, deleted=True)
    assert (name, "failing", "a") not in served(cache)


def test_blocked_drains_and_the_cold_start_are_served_where_they_are_known(cache: Cache) -> None:
    cache.pools[KEY].shown = read_shown(ANALYSING)
    shown = served(cache)
    assert shown["slicewise_pool_drains_blocked", "a"] == 0
    assert ("slicewise_autoscaling_cold_start_seconds",) not in shown
    cache.pools[KEY].shown = read_shown({**ANALYSING, "autoscaling": {"coldStartSeconds": 42}}, {"a": 2})
    shown = served(cache)
    assert shown["slicewise_pool_drains_blocked", "a"] == 2
    assert shown["slicewise_autoscaling_cold_start_seconds",] == 42


def test_a_deleted_pool_is_no_longer_served(cache: Cache) -> None:
    cache.pools[KEY].shown = read_shown(ANALYSING)
    cache.ingest(POOLS, {"metadata": {"name": "chat", "namespace": "default", "uid": "pool-1"}}, deleted=True)
    assert list(pools_now(cache)) == []
