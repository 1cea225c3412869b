"""What a pool becomes, told as stories on a simulated cluster."""

from __future__ import annotations

from dataclasses import replace

from builders import MIG, make_node, make_pod, make_pool
from simulation import Simulation, changed

from slicewise.pool.observed import ApplyFailure, FetchProgress
from slicewise.pool.plan import plan_pool


def shares(run: Simulation) -> dict[str, int]:
    return {zone["name"]: zone["desired"] for zone in run.status["zones"]}


def test_a_new_pool_becomes_ready_with_one_worker_in_each_zone() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.ready() == {"a": 1, "b": 1, "c": 1}
    assert run.budgets == {"a": 1, "b": 1, "c": 1}
    assert run.status["revisions"] == {"stable": run.deployments.popitem()[1].revision}


def test_a_pass_over_a_settled_pool_changes_nothing() -> None:
    run = Simulation(make_pool(replicas=4))
    first, status = run.settle(), run.status
    second = run.operate()
    assert second.children == first.children
    assert second.status == status
    assert second.events == ()


def test_the_floor_wins_over_fewer_replicas_and_says_so() -> None:
    run = Simulation(make_pool(replicas=1, zones={"minAvailable": 1}))
    run.settle()
    assert shares(run) == {"a": 1, "b": 1, "c": 1}
    assert run.condition("CapacityAvailable")["reason"] == "FloorAboveReplicas"


def test_a_pool_larger_than_what_is_free_says_how_many_are_missing_and_where() -> None:
    run = Simulation(make_pool(replicas=8))
    run.settle()
    capacity = run.condition("CapacityAvailable")
    assert capacity["reason"] == "NotEnoughSlices"
    assert "2 of 8 slices nvidia.com/mig-1g.10gb are missing: 1 in zone a, 1 in zone b" in capacity["message"]
    assert sum(run.ready().values()) == 6
    run.pool = changed(run.pool, replicas=3)
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_slices_that_somebody_else_holds_are_not_counted() -> None:
    run = Simulation(make_pool(replicas=3), others={"node-b": 2})
    run.settle()
    assert shares(run) == {"a": 2, "b": 0, "c": 1}
    assert run.condition("Ready")["status"] == "True"


def test_scaled_to_zero_is_ready_and_keeps_no_budget() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.pool = changed(run.pool, replicas=0)
    run.settle()
    assert run.condition("Ready")["reason"] == "ScaledToZero"
    assert (run.pods, run.budgets) == ({}, {})


def test_a_drain_passes_by_itself_where_a_slice_is_free() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.nodes["node-a2"] = make_node("node-a2", "a", 1)
    run.settle()
    run.nodes["node-a"] = replace(run.nodes["node-a"], cordoned=True)
    for _ in range(60):
        run.operate()
        run.evict("node-a")
        run.tick()
        assert run.ready()["a"] >= 1
    run.settle()
    assert {pod.node for pod in run.pods.values() if pod.zone == "a"} == {"node-a2"}
    assert run.condition("DrainBlocked")["status"] == "False"
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_a_drain_without_a_free_slice_waits_and_says_so() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    run.nodes["node-a"] = replace(run.nodes["node-a"], cordoned=True)
    run.settle()
    assert not run.evict("node-a")
    blocked = run.condition("DrainBlocked")
    assert blocked["status"] == "True"
    assert "node node-a is cordoned" in blocked["message"]
    assert "zone a has 1 ready, its floor is 1" in blocked["message"]
    assert run.operate().drains_blocked == {"a": 1}


def test_a_worker_whose_weights_changed_on_disk_gets_a_new_pod_that_fetches_them_anew() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    victim = next(iter(run.pods.values()))
    run.pods[victim.name] = replace(victim, ready=False, ended_reason="DigestMismatch")
    assert [(item.name, item.reason) for item in run.operate().deletions] == [(victim.name, "WeightsDamaged")]
    run.settle()
    assert run.condition("Ready")["status"] == "True"


def test_a_model_larger_than_the_slice_is_said_and_stalls() -> None:
    run = Simulation(make_pool(replicas=1))
    run.operate()
    run.broken = {run.status["revisions"]["stable"]}
    run.settle()
    pod = next(iter(run.pods.values()))
    words = "the model needs 12.0 GiB, the slice has 9.5 GiB"
    run.pods[pod.name] = replace(
        pod,
        ended_reason="ModelTooLarge",
        waiting_reason="CrashLoopBackOff",
        ended_message=words,
        fetch=FetchProgress(done=True),
    )
    run.operate()
    assert run.condition("WeightsCached")["reason"] == "ModelTooLarge"
    assert run.condition("Stalled")["status"] == "True"
    assert words in run.condition("Ready")["message"]


def test_a_failed_left_over_is_no_worker_and_is_removed() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    left = make_pod("left", run.status["revisions"]["stable"], "a", phase="Failed", ready=False)
    run.pods["left"] = left
    plan = run.operate()
    assert [item.name for item in plan.deletions] == ["left"]
    assert run.status["replicas"] == 3


def test_a_restart_of_a_kubelet_moves_no_worker_out_of_its_zone() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.nodes["node-a"] = replace(run.nodes["node-a"], allocatable={MIG: 0})
    before = dict(run.deployments)
    run.operate()
    assert run.deployments == before


def test_a_node_without_a_zone_label_is_a_zone_of_its_own_and_said_so() -> None:
    run = Simulation(make_pool(replicas=2), nodes={"n": make_node("n", "")})
    run.settle()
    assert run.ready() == {"": 2}
    assert "nodes without a zone label" in run.condition("CapacityAvailable")["message"]
    assert "chat-nozone-" in next(iter(run.deployments))


def test_a_zone_that_no_node_is_in_is_named_with_those_there_are() -> None:
    run = Simulation(make_pool(replicas=2, zones={"names": ["a", "z"]}))
    run.settle()
    capacity = run.condition("CapacityAvailable")
    assert (capacity["status"], capacity["reason"]) == ("False", "ZoneUnknown")
    assert "no node is in zone z; as topology.kubernetes.io/zone, nodes carry a, b, c" in capacity["message"]


def test_a_claim_without_a_volume_is_said_and_not_taken_for_missing_slices() -> None:
    run = Simulation(make_pool(replicas=1, cache={"persistentVolumeClaim": {"template": {"size": "1Gi"}}}))
    run.settle()
    revision = run.status["revisions"]["stable"]
    told = "0/4 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    waiting = {"node": None, "phase": "Pending", "ready": False, "waiting_reason": "Unschedulable"}
    observed = replace(run.observed(), pods=(make_pod("one", revision, "a", **waiting, waiting_message=told),))
    plan = plan_pool(run.pool, observed, run.now)
    conditions = {item["type"]: item for item in plan.status["conditions"]}
    assert conditions["CapacityAvailable"]["status"] == "True"
    assert conditions["WeightsCached"]["reason"] == "ClaimPending"
    assert told in conditions["WeightsCached"]["message"]
    assert "storage class" in conditions["Ready"]["message"]


def test_a_child_that_is_refused_is_told_also_where_every_worker_serves() -> None:
    run = Simulation(make_pool(replicas=1))
    run.settle()
    refused = ApplyFailure("PersistentVolumeClaim", "chat-weights", 403, "the class does not allow resize")
    plan = plan_pool(run.pool, replace(run.observed(), apply_failures=(refused,)), run.now)
    conditions = {item["type"]: item for item in plan.status["conditions"]}
    assert conditions["WorkersReady"]["status"] == "True"
    for kind, status in (("Ready", "False"), ("Stalled", "True")):
        assert (conditions[kind]["status"], conditions[kind]["reason"]) == (status, "ApplyFailed")
        assert "PersistentVolumeClaim chat-weights was refused (403): the class" in conditions[kind]["message"]


def test_no_node_with_the_profile_is_said() -> None:
    run = Simulation(make_pool(replicas=2), nodes={})
    run.settle()
    assert run.condition("CapacityAvailable")["reason"] == "NoNodeWithProfile"
    assert run.condition("Ready")["status"] == "False"


def test_minimum_memory_takes_the_smallest_profile_that_is_enough() -> None:
    big = make_node("big", "a", resource="nvidia.com/mig-3g.40gb")
    nodes = {
        "n": make_node("n", "a"),
        "big": replace(
            big, slice_memory={"nvidia.com/mig-3g.40gb": type(next(iter(big.slice_memory.values())))(40 * 2**30)}
        ),
    }
    run = Simulation(make_pool(slice={"minMemory": "8Gi"}, replicas=1), nodes=nodes)
    run.settle()
    assert (
        run.status["slice"] == {"resource": MIG, "memory": "9728Mi", "needed": "8Gi"}
        or run.status["slice"]["resource"] == MIG
    )


def test_a_slice_form_that_comes_later_is_said_and_touches_no_child() -> None:
    run = Simulation(make_pool(slice={"deviceClass": "gpu.example.com"}))
    plan = run.operate()
    assert plan.children is None
    assert run.condition("Accepted")["reason"] == "NotSupportedYet"
    assert run.condition("Stalled")["status"] == "True"
