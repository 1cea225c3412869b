"""Two replicas, one lease: who acts, and how fast the other one takes over."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from builders import pool_object
from monitored import differs_from_page
from servers.control_plane import WRITES
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually

pytestmark = pytest.mark.apiserver
SHORT = {"lease_duration_seconds": 3, "lease_retry_seconds": 0.2}
LONG = {**SHORT, "lease_duration_seconds": 600}


async def both(replicas: Operators, lease: dict[str, float]) -> tuple[OperatorProcess, OperatorProcess]:
    """Start two replicas; the first leads."""
    first = await replicas.start(**lease)
    await eventually(first.leads, "the first leads")
    return first, await replicas.start(**lease)


def lease_of(cluster: Cluster) -> dict[str, Any]:
    path = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace}/leases/slicewise-operator"
    _, lease = cluster.server.request("GET", path)
    return dict(lease["spec"])


def holder(cluster: Cluster) -> str:
    return str(lease_of(cluster).get("holderIdentity") or "")


async def test_only_the_leader_writes_and_the_standby_takes_over_when_it_ends(
    cluster: Cluster, replicas: Operators
) -> None:
    first, second = await both(replicas, LONG)
    assert not second.leads()
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(cluster.seen, first.words())
    assert second.metric('slicewise_reconcile_total{result="wrote"}') == 0
    floor = f'slicewise_pool_floor{{namespace="{cluster.namespace}",pool="chat",zone="a"}}'
    await eventually(lambda: first.metric(floor) > 0, "the leader shows the pool's state")
    assert second.metric(floor) == 0, "and the standby none, which it would not keep up to date"
    assert any(line.startswith("slicewise_pools{") for line in first.shown())
    # Costs are counted where there are prices.
    assert differs_from_page(first.text(), "Operator", "slicewise_cost_") == set()
    # It does not know why a pool is not ready, and an alert would count the pool for it.
    assert not any(line.startswith("slicewise_pools{") for line in second.shown())

    assert first.end() == 0
    await eventually(second.leads, "the second leads, as the lease was given back and not because it ran out")
    assert holder(cluster) == second.name
    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"replicas": 4})
    await eventually(cluster.seen, second.words())
    assert len(cluster.writes(mark)) == 2


async def test_the_standby_takes_over_from_a_leader_that_was_killed(cluster: Cluster, replicas: Operators) -> None:
    first, second = await both(replicas, SHORT)
    first.kill()
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(cluster.seen, second.words())
    assert holder(cluster) == second.name


async def test_a_leader_that_was_frozen_finds_out_before_it_writes(cluster: Cluster, replicas: Operators) -> None:
    first, second = await both(replicas, SHORT)
    first.process.send_signal(19)  # SIGSTOP: a machine that hangs
    await eventually(second.leads, "the second leads")
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(cluster.seen, second.words())
    mark, turns = cluster.server.audit_mark(), lease_of(cluster)["leaseTransitions"]
    first.process.send_signal(18)  # SIGCONT
    await eventually(lambda: not first.leads(), "the first has noticed")
    cluster.edit("chat", {"replicas": 4})
    await eventually(cluster.seen, second.words())

    def turned() -> bool:
        """A machine that stops the second for as long as its lease lasts makes the first lead again, and rightly."""
        return bool(lease_of(cluster)["leaseTransitions"] != turns)

    await eventually(
        lambda: first.metric("slicewise_pools_waiting") == 1 or turned(), "the first has seen the change too"
    )
    assert len(cluster.writes(mark)) == 2, "the change was made once"
    assert first.metric('slicewise_reconcile_total{result="wrote"}') == 0 or turned()


async def test_a_leader_cut_off_from_the_lease_stops_before_another_could_start(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start(**SHORT)
    await eventually(operator.leads, "it leads")
    path = f"/apis/coordination.k8s.io/v1/namespaces/{cluster.namespace}/leases/slicewise-operator"
    stolen = {"spec": {"holderIdentity": "somebody-else", "leaseDurationSeconds": 3600}}
    code, _ = cluster.server.request("PATCH", path, stolen, content_type="application/merge-patch+json")
    assert code == 200
    await eventually(lambda: not operator.leads(), "it has stopped")
    mark = cluster.server.audit_mark()
    cluster.create(pool_object(namespace=cluster.namespace))
    await eventually(lambda: operator.metric("slicewise_pools_waiting") == 1, "it sees the pool")

    assert cluster.writes(mark) == []


async def test_the_lease_is_given_back_within_the_grace_of_a_pod(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start(**LONG)
    await eventually(operator.leads, "it leads")
    mark = cluster.server.audit_mark()
    assert operator.end() == 0
    assert holder(cluster) == ""
    last = [
        event
        for event in cluster.server.audit_events(mark)
        if event["verb"] in WRITES and (event.get("objectRef") or {}).get("resource") == "leases"
    ][-1]
    assert datetime.fromisoformat(last["requestReceivedTimestamp"])
