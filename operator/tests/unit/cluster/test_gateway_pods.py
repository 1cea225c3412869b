"""Which pods are a gateway's, and when their agents are asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from slicewise.clients.resources import PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.gateway_pods import KEYS_SECONDS, SECRET_SECONDS, GatewayRecord, ask
from slicewise.envoy.measurement import NoData, Reading
from slicewise.pool.observed import GatewayInfo, ObservedGatewayPod


class Says:
    """Agents that all say the same."""

    def __init__(self, info: GatewayInfo) -> None:
        self.says = info
        self.addressed: bool | None = None

    async def info(self, address: str) -> GatewayInfo | NoData:
        return self.says

    async def redis(self, address: str) -> bool | None:
        return self.addressed

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        return NoData("not asked")


def record() -> GatewayRecord:
    return GatewayRecord(1, ObservedGatewayPod("g-0", ready=True), address="192.0.2.1", container=7)


def runs(*, keyed: bool) -> GatewayInfo:
    return GatewayInfo("v1", "v1", programmed=True, reason="Programmed", message="", keyed=keyed)


async def test_an_agent_that_runs_what_is_wanted_is_not_asked_again() -> None:
    pod = record()
    await ask(pod, Says(runs(keyed=False)), "v1", 0.0)
    assert not pod.lacks("v1")
    assert not pod.is_due("v1", 1e9)


async def test_an_agent_with_keys_is_asked_once_a_minute_because_a_changed_secret_reaches_it_alone() -> None:
    pod = record()
    for turn in range(3):
        now = turn * KEYS_SECONDS
        assert pod.is_due("v1", now)
        await ask(pod, Says(runs(keyed=True)), "v1", now)
        assert not pod.is_due("v1", now + KEYS_SECONDS - 1)
        assert pod.due == now + KEYS_SECONDS
    assert pod.is_due("v2", 0.0), "a change is asked about at once"


async def test_an_edge_is_asked_for_its_redis_where_the_pool_has_a_cache_and_soon_again_while_it_has_none() -> None:
    pod, says = record(), Says(runs(keyed=False))
    says.addressed = False
    await ask(pod, says, "v1", 0.0)
    assert pod.info is not None
    assert (pod.info.redis, pod.lacks("v1")) == (None, False)
    await ask(pod, says, "v1", 0.0, cached=True)
    assert (pod.info.redis, pod.due) == (False, SECRET_SECONDS)
    says.addressed = True
    await ask(pod, says, "v1", pod.due, cached=True)
    assert (pod.info.redis, pod.due) == (True, SECRET_SECONDS + KEYS_SECONDS)


async def test_an_edge_that_does_not_say_is_unknown_and_asked_again_once_a_minute() -> None:
    """An older one has no such metric; another was asked at a bad moment."""
    pod, says = record(), Says(runs(keyed=False))
    await ask(pod, says, "v1", 0.0, cached=True)
    assert pod.info is not None
    assert (pod.info.redis, pod.due) == (None, KEYS_SECONDS)
    assert pod.is_due("v1", KEYS_SECONDS)
    says.addressed = False
    await ask(pod, says, "v1", pod.due, cached=True)
    assert pod.info.redis is False


async def test_a_gateway_without_any_key_is_asked_soon_again() -> None:
    pod = record()
    await ask(pod, Says(replace(runs(keyed=True), tenants=0)), "v1", 0.0)
    assert pod.due == SECRET_SECONDS


KEY = ("default", "chat")
LABELS = {"slicewise.dev/pool": "chat", "slicewise.dev/role": "gateway"}
OWNER = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "chat-gateway-5d4f", "controller": True}


def pod(version: int, **changes: Any) -> dict[str, Any]:
    metadata = {"name": "g", "namespace": "default", "uid": "pod-1", "resourceVersion": str(version), "labels": LABELS}
    status = {"phase": "Running", "podIP": "192.0.2.1", "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {**metadata, "ownerReferences": [OWNER], **changes}, "status": status}


@pytest.fixture
def cache() -> Cache:
    cache = Cache()
    metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}
    cache.ingest(POOLS, {"metadata": metadata, "spec": {}})
    return cache


STRANGERS: dict[str, dict[str, Any]] = {
    "without an owner": {"ownerReferences": []},
    "of another controller": {"ownerReferences": [{**OWNER, "kind": "StatefulSet"}]},
    "of a kind of the same name": {"ownerReferences": [{**OWNER, "apiVersion": "x.io/v1"}]},
    "of another deployment": {"ownerReferences": [{**OWNER, "name": "mine-5d4f"}]},
    "of another pool's gateway": {"ownerReferences": [{**OWNER, "name": "chat-2-gateway-5d4f"}]},
    "of an owner that is not its controller": {"ownerReferences": [{**OWNER, "controller": False}]},
    "in another role": {"labels": {**LABELS, "slicewise.dev/role": "worker"}},
}


@pytest.mark.parametrize("what", STRANGERS)
def test_a_pod_that_only_carries_our_labels_is_no_gateway(cache: Cache, what: str) -> None:
    """Else whoever may make a pod decides by its counters what becomes of a canary."""
    assert cache.ingest(PODS, pod(2, **STRANGERS[what])) == set()
    assert (cache.pools[KEY].gateway_pods, cache.pools[KEY].pods) == ({}, {})


def test_a_pod_of_the_gateways_deployment_is_one_until_it_is_released(cache: Cache) -> None:
    assert cache.ingest(PODS, pod(2)) == {KEY}
    assert [known.address for known in cache.pools[KEY].gateway_pods.values()] == ["192.0.2.1"]
    assert cache.ingest(PODS, pod(3, ownerReferences=[])) == {KEY}
    assert cache.pools[KEY].gateway_pods == {}
    assert cache.ingest(PODS, pod(4)) == {KEY}, "adopted again"
    relabelled = {"slicewise.dev/pool": "chat"}
    assert cache.ingest(PODS, pod(5, labels=relabelled)) == {KEY}
    assert cache.pools[KEY].gateway_pods == {}
