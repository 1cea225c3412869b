"""Rollouts judged by a gateway's counters: the operator as a process, a real API server, controllers that make pods."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any

import pytest
from builders import DIGEST, pool_object
from servers.control_plane import ApiServer
from servers.processes import free_address
from wiring.conftest import controlled_server
from wiring.counting_pod import CountingGatewayPod, counting_at
from wiring.kubelet import MERGE, GoneError, Kubelet
from wiring.operator_process import POOLS, Cluster, OperatorProcess, Operators, eventually

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]
OTHER = {"source": "https://models.example.com/b.gguf", "digest": DIGEST.replace("0", "f")}
CANARY = {"p95": "600ms", "maxErrors": "1%", "steps": [{"weight": 50, "window": "3s"}]}


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own, with controllers that make pods of Deployments."""
    with controlled_server(tmp_path_factory) as server:
        yield server


def rollout(cluster: Cluster) -> dict[str, Any]:
    return dict((cluster.pool().get("status") or {}).get("rollout") or {})


def in_phase(cluster: Cluster, name: str) -> bool:
    return rollout(cluster).get("phase") == name


def events(cluster: Cluster) -> dict[str, str]:
    """Reason → message."""
    _, answer = cluster.server.request("GET", f"/api/v1/namespaces/{cluster.namespace}/events")
    return {item["reason"]: item["message"] for item in answer["items"]}


def request(cluster: Cluster, action: str) -> None:
    now = rollout(cluster)
    text = f"{action}:{now['target']}:{now['startedAt']}"
    body = {"metadata": {"annotations": {"slicewise.dev/rollout-request": text}}}
    code, answer = cluster.server.request("PATCH", f"{POOLS.format(cluster.namespace)}/chat", body, content_type=MERGE)
    assert code == 200, answer


@contextlib.asynccontextmanager
async def beside(play: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Let it run for as long as the block lasts. What ended it before is raised, and not only missed."""
    task = asyncio.create_task(play)
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended


@contextlib.asynccontextmanager
async def pods_come_up(cluster: Cluster, gateway: str, worker: str, fallback: str | None = None) -> AsyncIterator[None]:
    """Bind every pod and say that it is ready, for as long as the block lasts; end those that are to go. The words are addresses."""
    kubelet, addresses = Kubelet(cluster), {"gateway": gateway, "fallback": fallback or worker}

    async def play() -> None:
        while True:
            for pod in await asyncio.to_thread(kubelet.pods, None):
                role = str(pod["metadata"]["labels"].get("slicewise.dev/role"))
                if not pod["spec"].get("nodeName"):
                    with contextlib.suppress(GoneError):
                        await asyncio.to_thread(kubelet.bind, pod)
                        await asyncio.to_thread(kubelet.ready, pod, addresses.get(role, worker))
            await asyncio.sleep(0.2)

    async with beside(play()):
        yield


@contextlib.asynccontextmanager
async def served(
    cluster: Cluster, replicas: Operators, address: str
) -> AsyncIterator[tuple[CountingGatewayPod, OperatorProcess]]:
    """A pool of two workers behind a gateway, ready, whose model has just been changed."""
    operator = await replicas.start()
    async with pods_come_up(cluster, address, address), counting_at(address, CountingGatewayPod(cluster)) as gateway:
        spec = {"replicas": 2, "rollout": {"canary": CANARY}}
        cluster.create(pool_object(namespace=cluster.namespace, **spec))
        await eventually(lambda: cluster.condition("Ready").get("status") == "True", operator.words())
        yield gateway, operator


async def until(cluster: Cluster, name: str, operator: OperatorProcess, seconds: float = 240) -> None:
    try:
        await eventually(lambda: in_phase(cluster, name), name, seconds)
    except AssertionError:
        raise AssertionError(f"never {name}: {rollout(cluster)}\n{operator.words()}") from None


async def test_a_good_canary_is_promoted_by_what_the_gateway_counts(cluster: Cluster, replicas: Operators) -> None:
    async with served(cluster, replicas, free_address()) as (gateway, operator):
        assert gateway.reads == 0, "nobody is judged, so nobody is read"
        before = cluster.pool()["status"]["revisions"]["stable"]
        cluster.edit("chat", {"model": OTHER})
        await until(cluster, "Promoting", operator)
        passed = rollout(cluster)["verdict"]
        await until(cluster, "Idle", operator)
        assert passed["verdict"] == "Pass"
        assert passed["canary"]["requests"] >= 288
        assert passed["limits"]["p95"] == "600ms"
        after = cluster.pool()["status"]["revisions"]["stable"]
        assert after != before
        await eventually(lambda: gateway.weights == {after: 100}, "all requests go to the new revision")
        told = await eventually(lambda: events(cluster).get("RolloutPromoting"), "Events go out behind the passes")
        assert "good enough: " in told
        await eventually(operator.resting, "no pass waits")
        reads = gateway.reads
        cluster.edit("chat", {"gateway": {"limits": {"requestTimeout": "90s"}}})
        await eventually(cluster.seen, operator.words())
        await eventually(operator.resting, "no pass waits")
        assert gateway.reads == reads, "nobody is judged any more"


async def test_a_failing_canary_loses_its_requests_and_the_status_and_the_event_have_the_numbers(
    cluster: Cluster, replicas: Operators
) -> None:
    async with served(cluster, replicas, free_address()) as (gateway, operator):
        cluster.edit("chat", {"model": OTHER})
        bad = await eventually(lambda: rollout(cluster).get("target"), "a target")
        gateway.failing[bad] = 0.3
        await until(cluster, "RolledBack", operator)
        now = rollout(cluster)
        assert now["abortReason"] == "TooManyErrors"
        assert now["verdict"]["verdict"] == "Fail"
        assert now["verdict"]["canary"]["failed"] > 0
        assert now["verdict"]["evidence"]["failedAbove"] >= 200
        await eventually(lambda: gateway.weights.get(bad, 0) == 0, "it gets no request")
        told = await eventually(lambda: events(cluster).get("RolloutRollingBack"), "Events go out behind the passes")
        assert "maxErrors 1%" in told
        assert cluster.condition("Degraded")["reason"] == "RolledBack"


async def test_a_new_leader_goes_on_with_the_numbers_and_unreadable_counters_pass_nothing(
    cluster: Cluster, replicas: Operators
) -> None:
    address = free_address()
    async with served(cluster, replicas, address) as (gateway, operator):
        gateway.rate = 20
        cluster.edit("chat", {"model": OTHER, "rollout": {"canary": {**CANARY, "grow": False}}})
        await until(cluster, "Analysing", operator)
        counted = lambda: rollout(cluster)["verdict"]["canary"]["requests"]  # noqa: E731
        await eventually(lambda: counted() > 30, "some requests are counted")
        operator.kill()
        seen = counted()
        second = await replicas.start()
        await eventually(lambda: counted() > seen, second.words())
        assert counted() <= gateway.sent[rollout(cluster)["target"]]

        gateway.silent = True
        await eventually(lambda: cluster.condition("RolloutProgressing").get("reason") == "NoData", second.words())
        assert f"{address}:9090 answered 503" in cluster.condition("RolloutProgressing")["message"]
        gateway.rate = 4000
        await asyncio.sleep(5)
        assert in_phase(cluster, "Analysing"), "what cannot be read is no pass"
        request(cluster, "abort")
        await until(cluster, "RolledBack", second)
        assert rollout(cluster)["abortReason"] == "AbortedByRequest"
