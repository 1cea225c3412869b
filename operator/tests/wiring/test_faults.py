"""Reconciles while the API server or the way to it is in trouble: nothing is lost, nothing is done twice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from builders import pool_object
from wiring.fault_proxy import FaultProxy, Seen, fault_proxy
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually, operators

pytestmark = pytest.mark.apiserver


@pytest.fixture
async def proxy(cluster: Cluster) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(cluster.server) as running:
        yield running


async def settled(cluster: Cluster, operator: OperatorProcess, name: str = "chat") -> None:
    await eventually(lambda: cluster.seen(name), f"{name} is seen: {operator.words()}")
    await eventually(operator.resting, "no pass waits")


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_writes_that_the_server_puts_off_are_made_later_and_once(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy, status: int
) -> None:
    operator = await replicas.start(server=proxy.url)
    proxy.answer(status, when=lambda seen: seen.is_write, times=3)
    mark = cluster.server.audit_mark()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)

    writes = cluster.writes(mark)
    assert len(writes) == len(set(writes)) == 18, writes


async def test_a_conflict_on_the_status_leads_to_a_fresh_look_and_then_to_the_status(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy
) -> None:
    operator = await replicas.start(server=proxy.url)
    proxy.answer(409, when=lambda seen: seen.is_write and seen.path.endswith("/status"), times=2)
    mark = cluster.server.audit_mark()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)

    writes = cluster.writes(mark)
    assert len(writes) == len(set(writes)) == 18, writes


async def test_an_api_server_out_of_reach_loses_no_change(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy
) -> None:
    operator = await replicas.start(server=proxy.url)
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    proxy.refuse()
    cluster.edit("chat", {"replicas": 5})
    cluster.server.request("DELETE", f"/api/v1/namespaces/{cluster.namespace}/services/chat-workers")
    seen = len(proxy.requests)
    await eventually(lambda: len(proxy.requests) > seen + 20, "the operator keeps trying")
    proxy.heal()

    await settled(cluster, operator)
    await eventually(lambda: "Service/chat-workers" in cluster.children(), "what vanished unseen is made again")
    assert cluster.pool()["status"]["desired"] == 5
    assert operator.healthy()


async def test_watches_cut_in_the_middle_of_a_line_lose_nothing_and_end_nothing(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy
) -> None:
    operator = await replicas.start(server=proxy.url)
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    for replicas_wanted in (4, 5):
        proxy.cut_watches()
        cluster.edit("chat", {"replicas": replicas_wanted})
        await settled(cluster, operator)
    assert operator.ready()


@pytest.mark.parametrize("code", [410, 500])
async def test_an_error_event_in_a_watch_leads_to_a_new_list(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy, code: int
) -> None:
    operator = await replicas.start(server=proxy.url)
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    proxy.cut_watches(b'{"type":"ERROR","object":{"kind":"Status","code":%d,"message":"injected"}}\n' % code)
    cluster.server.request("DELETE", f"/api/v1/namespaces/{cluster.namespace}/services/chat-workers")
    cluster.edit("chat", {"replicas": 4})

    await settled(cluster, operator)
    await eventually(lambda: "Service/chat-workers" in cluster.children(), "what vanished meanwhile is made again")
    assert operator.ready()


async def test_a_child_that_is_refused_is_said_and_holds_up_no_other(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy
) -> None:
    operator = await replicas.start(server=proxy.url)
    proxy.answer(403, when=lambda seen: seen.is_write and "/deployments/chat-b" in seen.path)
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(lambda: "Deployment chat-b" in str(cluster.condition("WorkersReady")), operator.words())
    assert len(cluster.children()) == 16

    proxy.heal()
    await eventually(lambda: len(cluster.children()) == 17, "the Deployment is made")
    await eventually(lambda: "was refused" not in str(cluster.pool()["status"]), "and nothing is said of it")


async def test_a_pool_whose_writes_fail_does_not_delay_another(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy
) -> None:
    operator = await replicas.start(server=proxy.url, max_concurrent_passes=1)
    proxy.answer(500, when=lambda seen: seen.is_write and "/poison" in seen.path)
    cluster.create(pool_object("poison", cluster.namespace))
    await eventually(lambda: any("/poison" in seen.path and seen.is_write for seen in proxy.requests), "it has failed")
    cluster.create(pool_object("chat", cluster.namespace))

    await settled(cluster, operator)
    assert not cluster.seen("poison")


@pytest.mark.timeout(900)  # some twenty operators, one after the other
async def test_killed_after_each_of_its_writes_it_ends_where_it_would_have_without(
    cluster: Cluster, replicas: Operators, proxy: FaultProxy, tmp_path: Path
) -> None:
    running: list[OperatorProcess] = []
    made: list[Seen] = []

    def kill(seen: Seen) -> None:
        made.append(seen)
        running[-1].process.kill()

    proxy.after_write = kill
    cluster.create(pool_object(namespace=cluster.namespace, zones={"names": ["a"]}))
    while not cluster.seen():
        running.append(replicas.spawn(server=proxy.url, leader_election=False))
        await eventually(lambda: running[-1].process.poll() is not None, running[-1].words())
    killed = cluster.essence()

    proxy.after_write = None
    calm = Cluster(cluster.server, f"{cluster.namespace}-calm")
    cluster.server.kubectl("create", "namespace", calm.namespace)
    with operators(calm, tmp_path) as others:
        operator = await others.start()
        calm.create(pool_object(namespace=calm.namespace, zones={"names": ["a"]}))
        await settled(calm, operator)
    assert killed == calm.essence()
    assert len(made) == len(killed) + 1, "each write was made once"
