"""A pool that follows its load: the operator as a process, a real API server, controllers that make pods, and played pods."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from builders import pool_object
from servers.control_plane import ApiServer
from servers.processes import free_address
from wiring.conftest import controlled_server
from wiring.heard import heard
from wiring.kubelet import GoneError, Kubelet
from wiring.operator_process import POOLS, Cluster, OperatorProcess, Operators, eventually
from wiring.test_judged import beside, events, pods_come_up

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]
REPLICAS = "slicewise_autoscaling_workers"


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own, with controllers that make pods of Deployments."""
    with controlled_server(tmp_path_factory) as server:
        yield server


@dataclass
class Busy:
    """Gateway and workers of a pool behind one address."""

    requests: int = 1
    """That the gateway has in flight."""
    begun: int = 1
    """That it has had."""
    silent: bool = False
    reads: int = 0
    runner: list[web.AppRunner] = field(default_factory=list)

    async def stats(self, request: web.Request) -> web.Response:
        """Envoy."""
        if await heard(request):
            self.reads += 1
        if self.silent:
            return web.Response(status=503)
        client = 'envoy_http_conn_manager_prefix="pool"'
        return web.Response(
            text=f'envoy_cluster_upstream_rq_active{{envoy_cluster_name="rev-0"}} {self.requests}\n'
            f"envoy_http_downstream_rq_active{{{client}}} {self.requests}\n"
            f"envoy_http_downstream_rq_total{{{client}}} {self.begun}\n"
        )

    async def worker(self, _: web.Request) -> web.Response:
        """A worker, which does not say how many requests it has, as one of an earlier version."""
        return web.json_response({"device": "CPU", "on_gpu": False})


@contextlib.asynccontextmanager
async def busy_at(address: str) -> AsyncIterator[Busy]:
    """Answer as pods do on an address of their own."""
    played, app = Busy(), web.Application()
    app.router.add_get("/stats/prometheus", played.stats)
    app.router.add_get("/v1/worker", played.worker)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for port in (8080, 9090):
        await web.TCPSite(runner, address, port).start()
    try:
        yield played
    finally:
        await runner.cleanup()


def desired(cluster: Cluster) -> int | None:
    number: int | None = ((cluster.pool().get("status") or {}).get("autoscaling") or {}).get("desired")
    return number


def asked(cluster: Cluster) -> int:
    """Workers that the Deployments ask for."""
    children = cluster.children()
    return sum(
        child["spec"]["replicas"]
        for name, child in children.items()
        if name.startswith("Deployment/") and not name.endswith("-gateway")
    )


def reason(cluster: Cluster) -> str:
    return str(cluster.condition("AutoscalingActive").get("reason"))


@contextlib.asynccontextmanager
async def served(
    cluster: Cluster, replicas: Operators, address: str, /, **spec: Any
) -> AsyncIterator[tuple[Busy, OperatorProcess]]:
    """A pool that follows its load, at its least."""
    operator = await replicas.start()
    async with pods_come_up(cluster, address, address), busy_at(address) as played:
        scaling = {"maxReplicas": 5, "targetRequestsPerWorker": 4}
        cluster.create(pool_object(namespace=cluster.namespace, **{"autoscaling": scaling, **spec}))
        await eventually(lambda: reason(cluster) not in {"None", "LoadUnknown"}, operator.words())
        yield played, operator


async def test_workers_come_with_the_load_and_the_next_leader_keeps_them(cluster: Cluster, replicas: Operators) -> None:
    async with served(cluster, replicas, free_address()) as (played, operator):
        played.requests = 11
        await eventually(lambda: asked(cluster) == 3, "three workers")
        assert "replicas" not in cluster.pool()["spec"]
        # The Deployments are written before the status.
        await eventually(lambda: (desired(cluster), reason(cluster)) == (3, "FollowsLoad"), operator.words())
        await eventually(lambda: "ScaledUp" in events(cluster), "the Event")
        line = f'{REPLICAS}{{acts="yes",namespace="{cluster.namespace}",pool="chat"}}'
        await eventually(lambda: operator.metric(line) == 3, "the metric")

        operator.kill()
        played.requests = 0
        another = await replicas.start()
        before = played.reads
        await eventually(lambda: played.reads > before + 3, another.words())
        assert (desired(cluster), asked(cluster)) == (3, 3)


async def test_counts_that_cannot_be_read_leave_the_workers_and_say_so(cluster: Cluster, replicas: Operators) -> None:
    async with served(cluster, replicas, free_address()) as (played, operator):
        played.requests = 7
        await eventually(lambda: asked(cluster) == 2, "two workers")
        played.silent = True
        await eventually(lambda: reason(cluster) == "LoadUnknown", operator.words())
        assert cluster.condition("AutoscalingActive")["status"] == "False"
        assert asked(cluster) == 2
        played.silent = False
        await eventually(lambda: reason(cluster) == "FollowsLoad", operator.words())


async def test_what_was_written_through_the_scale_subresource_holds_until_it_is_removed(
    cluster: Cluster, replicas: Operators
) -> None:
    async with served(cluster, replicas, free_address(), replicas=1) as (played, operator):
        played.requests = 7
        await eventually(lambda: asked(cluster) == 2, "two workers")
        path = f"{POOLS.format(cluster.namespace)}/chat"
        code, scale = cluster.server.request("GET", f"{path}/scale")
        assert code == 200, scale
        scale["spec"]["replicas"] = 4
        code, answer = cluster.server.request("PUT", f"{path}/scale?fieldManager=kube-controller-manager", scale)
        assert code == 200, answer
        await eventually(lambda: reason(cluster) == "ScaledByAnother", operator.words())
        assert "kube-controller-manager" in cluster.condition("AutoscalingActive")["message"]
        await eventually(lambda: asked(cluster) == 4, "what the other wrote")
        assert cluster.pool()["spec"]["replicas"] == 4

        remove = [{"op": "remove", "path": "/spec/replicas"}]
        code, answer = cluster.server.request("PATCH", path, remove, content_type="application/json-patch+json")
        assert code == 200, answer
        await eventually(lambda: reason(cluster) == "FollowsLoad", operator.words())


async def test_a_pool_sleeps_after_its_last_request_and_one_held_request_wakes_it(
    cluster: Cluster, replicas: Operators
) -> None:
    scaling = {"minReplicas": 0, "maxReplicas": 5, "targetRequestsPerWorker": 4, "idleAfter": "2s"}
    async with served(cluster, replicas, free_address(), autoscaling=scaling) as (played, operator):
        config = cluster.children()["ConfigMap/chat-gateway"]["data"]
        played.requests = 0
        await eventually(lambda: asked(cluster) == 0, operator.words())
        await eventually(lambda: cluster.condition("WorkersReady").get("reason") == "ScaledToZero", operator.words())
        assert cluster.condition("WorkersReady")["status"] == "True"
        assert cluster.condition("Accepted")["reason"] == "Accepted"
        assert cluster.children()["ConfigMap/chat-gateway"]["data"] == config, "it holds requests while the pool sleeps"

        played.requests = played.begun = 2
        await eventually(lambda: asked(cluster) == 1, operator.words())
        await eventually(lambda: cluster.condition("WorkersReady").get("reason") == "AllReady", operator.words())


async def test_advice_changes_no_worker_and_a_pool_without_autoscaling_is_not_read(
    cluster: Cluster, replicas: Operators
) -> None:
    scaling = {"maxReplicas": 5, "targetRequestsPerWorker": 4, "mode": "Advise"}
    async with served(cluster, replicas, free_address(), autoscaling=scaling, replicas=1) as (played, operator):
        played.requests = 11
        await eventually(lambda: desired(cluster) == 3, operator.words())
        await eventually(lambda: "ScalingAdvised" in events(cluster), "the Event")
        assert (asked(cluster), reason(cluster)) == (1, "AdviceOnly")

        cluster.edit("chat", {"autoscaling": None})
        await eventually(lambda: cluster.seen() and not reason(cluster).startswith("Adv"), operator.words())
        await eventually(operator.resting, operator.words())
        before = played.reads
        await asyncio.sleep(2.5)
        assert played.reads == before


@contextlib.asynccontextmanager
async def with_requests(cluster: Cluster, gateway: str, said: dict[str, int]) -> AsyncIterator[None]:
    """Bring up the gateway, and a worker for each address in `said` with so many requests; a further worker never gets ready."""
    kubelet, left = Kubelet(cluster), list(said)

    async def worker(request: web.Request) -> web.Response:
        host, _ = request.host.rsplit(":", 1)
        counts = {"running": said[host], "waiting": 0, "ended": 0}
        return web.json_response({"device": "CPU", "on_gpu": False, "requests": counts})

    async def play() -> None:
        while True:
            for pod in await asyncio.to_thread(kubelet.pods, None):
                is_gateway = pod["metadata"]["labels"].get("slicewise.dev/role") == "gateway"
                if not pod["spec"].get("nodeName") and (is_gateway or left):
                    with contextlib.suppress(GoneError):
                        await asyncio.to_thread(kubelet.bind, pod)
                        await asyncio.to_thread(kubelet.ready, pod, gateway if is_gateway else left.pop(0))
            await asyncio.sleep(0.2)

    app = web.Application()
    app.router.add_get("/v1/worker", worker)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    for address in said:
        await web.TCPSite(runner, address, 8080).start()
    try:
        async with beside(play()):
            yield
    finally:
        await runner.cleanup()


async def test_the_worker_with_the_most_requests_stays_when_the_pool_shrinks(
    cluster: Cluster, replicas: Operators
) -> None:
    """The replacement that the ReplicaSet makes for a moment goes as well."""
    few, many, gateway = free_address(), free_address(), free_address()
    said = {few: 1, many: 3}
    scaling = {"maxReplicas": 5, "targetRequestsPerWorker": 4, "mode": "Advise"}
    operator = await replicas.start()
    async with busy_at(gateway), with_requests(cluster, gateway, said):
        zone = {"names": ["a"], "minAvailable": 1}
        cluster.create(pool_object(namespace=cluster.namespace, replicas=2, zones=zone, autoscaling=scaling))
        line = f'slicewise_autoscaling_requests{{namespace="{cluster.namespace}",pool="chat"}}'
        await eventually(lambda: operator.metric(line) == sum(said.values()), operator.words())

        cluster.edit("chat", {"replicas": 1})
        kubelet = Kubelet(cluster)
        await eventually(lambda: asked(cluster) == 1 and len(kubelet.pods()) == 1, operator.words())
        (left,) = kubelet.pods()
        assert left["status"]["podIP"] == many
        removed = 'slicewise_pods_removed_total{reason="ScaledDown"}'  # counted after the pod has gone
        await eventually(lambda: operator.metric(removed) >= 1, operator.words())
