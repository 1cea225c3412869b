"""What the operator learns of a pool's gateway, when it asks, and what it writes, on a real API server."""

from __future__ import annotations

import pytest
from builders import pool_object
from servers.processes import free_address
from wiring.gateway_pod import gateway_at
from wiring.operator_process import Cluster, Operators, eventually
from wiring.test_passes import settled

pytestmark = pytest.mark.apiserver


async def test_a_gateway_is_asked_until_it_runs_what_is_wanted_and_then_no_more(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start(resync_seconds=0.5)
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0))
    await settled(cluster, operator)
    assert cluster.condition("GatewayProgrammed")["reason"] == "Starting"
    async with gateway_at(cluster, free_address()) as gateway:
        gateway.running = "before"
        gateway.make_pod()
        await eventually(lambda: cluster.condition("GatewayProgrammed")["reason"] == "NotProgrammed", operator.words())
        assert cluster.condition("Ready")["reason"] == "GatewayNotProgrammed"
        gateway.running = None
        await eventually(lambda: cluster.condition("Ready")["status"] == "True", operator.words())
        await eventually(operator.resting, "no pass waits")
        asked = gateway.asked
        passes = 'slicewise_reconcile_total{result="unchanged"}'
        before = operator.metric(passes)
        await eventually(lambda: operator.metric(passes) >= before + 4, "four resyncs")
        assert gateway.asked == asked

        cluster.edit("chat", {"gateway": {"limits": {"maxBodyBytes": "2Ki"}}})
        await settled(cluster, operator)
        await eventually(lambda: cluster.condition("Ready")["status"] == "True", operator.words())
        assert gateway.asked > asked, "what changed is asked about"


async def test_a_refused_configuration_is_told_and_its_end_noticed(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0))
    await settled(cluster, operator)
    async with gateway_at(cluster, free_address()) as gateway:
        gateway.running, gateway.reason = "before", "Refused"
        gateway.make_pod()
        await eventually(
            lambda: cluster.condition("GatewayProgrammed")["reason"] == "ConfigurationRefused", operator.words()
        )
        assert cluster.condition("Stalled")["reason"] == "ConfigurationRefused"
        gateway.running, gateway.reason = None, ""
        await eventually(lambda: cluster.condition("Ready")["status"] == "True", operator.words())


async def test_a_change_of_limits_costs_one_write_of_a_child_and_restarts_no_pod(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace))
    await settled(cluster, operator)
    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"gateway": {"limits": {"requestTimeout": "90s", "perTenantRequestsPerMinute": 60}}})
    await settled(cluster, operator)

    assert cluster.writes(mark) == ["patch configmaps/chat-gateway", "patch inferencepools/chat/status"]


async def test_a_second_replica_brings_a_budget_and_one_less_takes_it_away(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, gateway={"replicas": 2}))
    await settled(cluster, operator)
    assert "PodDisruptionBudget/chat-gateway" in cluster.children()
    cluster.edit("chat", {"gateway": {"replicas": 1}})
    await settled(cluster, operator)
    await eventually(lambda: "PodDisruptionBudget/chat-gateway" not in cluster.children(), operator.words())


async def test_the_secret_with_keys_is_named_while_it_is_missing_and_its_coming_noticed(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start()
    keyed = {"tenantKeysSecretRef": {"name": "tenants"}}
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0, gateway=keyed))
    await settled(cluster, operator)
    async with gateway_at(cluster, free_address()) as gateway:
        gateway.tenants = 0
        gateway.make_pod()
        await eventually(lambda: cluster.condition("GatewayProgrammed")["reason"] == "SecretMissing", operator.words())
        assert "'tenants'" in cluster.condition("GatewayProgrammed")["message"]
        gateway.tenants = 1
        await eventually(lambda: cluster.condition("Ready")["status"] == "True", operator.words())
