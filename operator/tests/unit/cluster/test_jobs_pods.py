"""Which pods are a pool's of jobs, what is known of them, and when their programs are asked again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from slicewise.clients.resources import PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.jobs_pods import GOOD_SECONDS, TROUBLE_SECONDS, ask_standing, observed_jobs_pods
from slicewise.pool.observed import ObservedNode
from slicewise.pool.observed_jobs import ObservedJobsPod, Standing

KEY = ("default", "chat")
NODES = {"a": ObservedNode("a", "zone")}
GOOD = Standing(available=True, reason="Available")
AWAY = Standing(available=False, reason="DatabaseAway", message="gone")
RUNS: dict[str, Any] = {"state": {"running": {}}}


def owner(deployment: str) -> dict[str, Any]:
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{deployment}-5d4f", "controller": True}


def pod(version: int, role: str = "jobs", **changes: Any) -> dict[str, Any]:
    container = "dispatch" if role == "jobs-dispatch" else "api"
    program = {"name": container, "containerID": "containerd://1", **changes.pop("program", RUNS)}
    status = {
        "phase": "Running",
        "podIP": "192.0.2.1",
        "conditions": [{"type": "Ready", "status": "True"}],
        "initContainerStatuses": [{"name": "migrate", **changes.pop("migrate", {})}],
        "containerStatuses": [program],
    }
    metadata = {
        "name": "p",
        "namespace": "default",
        "uid": "pod-1",
        "resourceVersion": str(version),
        "labels": {"slicewise.dev/pool": "chat", "slicewise.dev/role": role},
        "ownerReferences": [owner(f"chat-{role}")],
        **changes.pop("metadata", {}),
    }
    return {"metadata": metadata, "spec": {"nodeName": "a"}, "status": {**status, **changes}}


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}
    cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
    return cache


def seen(cache: Cache, nodes: dict[str, ObservedNode] = NODES) -> ObservedJobsPod:
    (found,) = observed_jobs_pods(cache.pools[KEY].jobs_pods.values(), nodes)
    return found


class Says:
    """Programs that all say the same."""

    def __init__(self, standing: Standing | None) -> None:
        self.says = standing
        self.asked: list[tuple[str, bool]] = []

    async def standing(self, address: str, *, dispatches: bool) -> Standing | None:
        self.asked.append((address, dispatches))
        return self.says


@pytest.mark.parametrize(("role", "dispatches"), [("jobs", False), ("jobs-dispatch", True)])
async def test_a_pod_of_either_deployment_is_known_and_asked_at_its_own_port(
    cache: Cache, role: str, dispatches: bool
) -> None:
    assert cache.ingest(PODS, pod(2, role)) == {KEY}
    (record,) = cache.pools[KEY].jobs_pods.values()
    says = Says(GOOD)
    assert (record.is_asked, record.wait(0.0)) == (True, 0.0)
    await ask_standing(record, says, 0.0)
    assert says.asked == [("192.0.2.1", dispatches)]
    assert seen(cache) == ObservedJobsPod("p", dispatches=dispatches, ready=True, standing=GOOD)
    assert cache.pools[KEY].pods == {}
    assert cache.pools[KEY].gateway_pods == {}


STRANGERS = {
    "without an owner": {"ownerReferences": []},
    "of another deployment": {"ownerReferences": [owner("mine")]},
    "of the dispatchers under the label of the API": {"ownerReferences": [owner("chat-jobs-dispatch")]},
    "of another pool": {"ownerReferences": [owner("chat-2-jobs")]},
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_pod_that_only_carries_the_labels_is_none(cache: Cache, what: str) -> None:
    assert cache.ingest(PODS, pod(2, metadata=STRANGERS[what])) == set()
    assert cache.pools[KEY].jobs_pods == {}


def test_a_pod_is_dropped_with_its_event_and_with_a_list_that_lacks_it(cache: Cache) -> None:
    cache.ingest(PODS, pod(2))
    assert cache.ingest(PODS, pod(3), deleted=True) == {KEY}
    cache.ingest(PODS, {**pod(4), "metadata": {**pod(4)["metadata"], "uid": "pod-2"}})
    assert cache.retain(PODS, None, 5, set()) == {KEY}
    assert cache.pools[KEY].jobs_pods == {}


async def test_a_program_is_asked_again_and_sooner_while_it_cannot_serve(cache: Cache) -> None:
    cache.ingest(PODS, pod(2))
    (record,) = cache.pools[KEY].jobs_pods.values()
    for says, wait in ((GOOD, GOOD_SECONDS), (AWAY, TROUBLE_SECONDS), (None, TROUBLE_SECONDS)):
        await ask_standing(record, Says(says), 100.0)
        assert record.wait(100.0) == wait
        assert record.wait(100.0 + wait) == 0.0
        assert seen(cache).standing == says


async def test_an_answer_counts_for_the_container_that_gave_it(cache: Cache) -> None:
    cache.ingest(PODS, pod(2))
    (record,) = cache.pools[KEY].jobs_pods.values()
    await ask_standing(record, Says(GOOD), 100.0)
    assert cache.ingest(PODS, pod(3, program={**RUNS, "containerID": "containerd://2"})) == {KEY}
    (record,) = cache.pools[KEY].jobs_pods.values()
    assert seen(cache).standing is None
    assert record.wait(100.0) == 0.0


async def test_one_that_is_not_ready_is_asked_too_and_one_that_goes_is_not(cache: Cache) -> None:
    cache.ingest(PODS, pod(2, conditions=[]))
    (record,) = cache.pools[KEY].jobs_pods.values()
    assert record.is_asked
    await ask_standing(record, Says(AWAY), 0.0)
    assert (seen(cache).ready, seen(cache).standing) == (False, AWAY)
    cache.ingest(PODS, pod(3, metadata={"deletionTimestamp": "2026-01-01T00:00:00Z"}))
    (record,) = cache.pools[KEY].jobs_pods.values()
    assert not record.is_asked


def test_a_migration_that_fails_says_why_and_one_that_is_done_says_nothing(cache: Cache) -> None:
    said = json.dumps({"reason": "CredentialsRefused", "message": "no\x1b[31m entry"})
    failed = {"exitCode": 1, "reason": "Error", "message": said}
    waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off"}}
    program = {"state": {"waiting": {"reason": "PodInitializing"}}}
    cache.ingest(
        PODS,
        pod(2, migrate={"state": waits, "lastState": {"terminated": failed}}, program=program, conditions=[]),
    )
    found = seen(cache)
    assert (found.ended_reason, found.ended_message) == ("CredentialsRefused", "no [31m entry")
    assert (found.waiting_reason, found.waiting_message) == ("CrashLoopBackOff", "no [31m entry")
    assert not next(iter(cache.pools[KEY].jobs_pods.values())).is_asked
    cache.ingest(PODS, pod(3, migrate={"state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}))
    assert seen(cache).ended_reason is None


def test_one_on_a_node_that_is_lost_is_not_ready(cache: Cache) -> None:
    cache.ingest(PODS, pod(2))
    assert seen(cache).ready
    assert not seen(cache, {}).ready
