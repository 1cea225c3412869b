"""Nodes that a pool may not use: their slices are not free for it, and the condition names the field."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import MIG, make_node, make_observed, make_pod, make_pool

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.pool.observed import ObservedDeployment, ObservedNode, ObservedRevision, Taint
from slicewise.pool.placement import placed_nodes, read_placement
from slicewise.pool.plan import plan_pool

TEAM = Taint("team", "llm", "NoSchedule")


def conditions(nodes: tuple[ObservedNode, ...], observed: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    plan = plan_pool(make_pool(**spec), make_observed(nodes=nodes, **(observed or {})), 0.0)
    return {item["type"]: item for item in plan.status["conditions"]}


def replicas(nodes: tuple[ObservedNode, ...], **spec: Any) -> dict[str, int]:
    plan = plan_pool(make_pool(**spec), make_observed(nodes=nodes), 0.0)
    return {
        item["metadata"]["labels"]["slicewise.dev/zone"]: item["spec"]["replicas"]
        for item in plan.children or ()
        if item["kind"] == "Deployment" and "slicewise.dev/zone" in item["metadata"]["labels"]
    }


def required(*expressions: dict[str, Any]) -> dict[str, Any]:
    terms = [{"matchExpressions": list(expressions)}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def test_a_taint_is_named_with_the_field_that_tolerates_it() -> None:
    tainted = make_node("node-a", "a", taints=(TEAM,))
    found = conditions((tainted,), replicas=1)["CapacityAvailable"]
    assert (found["status"], found["reason"]) == ("False", "NotEnoughSlices")
    assert found["message"] == (
        f"1 of 1 slices {MIG} are missing: 1 in zone a. Node node-a has a free slice and the taint team=llm:NoSchedule, which "
        "workers do not tolerate: add it to spec.worker.tolerations. Or lower spec.replicas to 0"
    )


def test_a_toleration_that_matches_nothing_is_named_beside_the_taint() -> None:
    tainted = make_node("node-a", "a", taints=(TEAM,))
    worker = {"tolerations": [{"key": "team", "value": "lm"}]}
    message = conditions((tainted,), replicas=1, worker=worker)["CapacityAvailable"]["message"]
    assert "the taint team=llm:NoSchedule" in message
    assert "(the toleration of team=lm matches no taint there)" in message


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "team", "value": "llm", "effect": "NoSchedule"},
        {"key": "team", "value": "llm"},
        {"key": "team", "operator": "Exists"},
        {"key": "team", "operator": "Equal", "value": "llm"},
    ],
)
def test_a_slice_behind_a_tolerated_taint_is_free(toleration: dict[str, str]) -> None:
    tainted = make_node("node-a", "a", taints=(TEAM,))
    found = conditions((tainted,), replicas=1, worker={"tolerations": [toleration]})
    assert found["CapacityAvailable"]["status"] == "True"


@pytest.mark.parametrize(
    "toleration",
    [
        {"key": "team", "value": "llm", "effect": "NoExecute"},
        {"key": "team"},
        {"key": "crew", "operator": "Exists"},
    ],
)
def test_a_slice_behind_another_taint_is_not(toleration: dict[str, str]) -> None:
    tainted = make_node("node-a", "a", taints=(TEAM,))
    found = conditions((tainted,), replicas=1, worker={"tolerations": [toleration]})
    assert found["CapacityAvailable"]["status"] == "False"


def test_the_installation_s_tolerations_count_too() -> None:
    tainted = make_node("node-a", "a", taints=(TEAM,))
    shape = WorkerSpec.model_validate({"tolerations": [{"key": "team", "operator": "Exists"}]})
    assert conditions((tainted,), {"worker_defaults": shape}, replicas=1)["CapacityAvailable"]["status"] == "True"


def test_workers_go_only_where_labels_and_taints_let_them() -> None:
    nodes = (
        make_node("node-a", "a", labels={"pool": "llm"}),
        make_node("node-b", "b", labels={"pool": "web"}),
        make_node("node-c", "c", labels={"pool": "llm"}, taints=(TEAM,)),
    )
    assert replicas(nodes, replicas=2) == {"a": 1, "b": 1}
    assert replicas(nodes, replicas=2, worker={"nodeSelector": {"pool": "llm"}}) == {"a": 2}
    tolerant = {"nodeSelector": {"pool": "llm"}, "tolerations": [{"key": "team", "operator": "Exists"}]}
    assert replicas(nodes, replicas=2, worker=tolerant) == {"a": 1, "c": 1}
    away = {"affinity": required({"key": "pool", "operator": "NotIn", "values": ["llm"]})}
    assert replicas(nodes, replicas=2, worker=away) == {"b": 2}


def test_a_taint_for_an_hour_moves_no_worker_out_of_its_zone() -> None:
    nodes = (make_node("node-a", "a"), make_node("node-b", "b", taints=(TEAM,)))
    here = ObservedDeployment("chat-b-x", "x", "b", replicas=1)
    plan = plan_pool(
        make_pool(replicas=2), make_observed(nodes=nodes, deployments=(here,), pods=(make_pod("w", "x", "b"),)), 0.0
    )
    zones = {
        item["metadata"]["labels"].get("slicewise.dev/zone")
        for item in plan.children or ()
        if item["kind"] == "PodDisruptionBudget"
    }
    assert "b" in zones


def test_labels_that_no_node_has_are_named_with_their_field() -> None:
    nodes = (make_node("node-a", "a", labels={"pool": "web"}),)
    found = conditions(nodes, replicas=1, worker={"nodeSelector": {"pool": "llm"}})["CapacityAvailable"]
    assert (found["status"], found["reason"]) == ("False", "NoNodeWithProfile")
    assert "labels that spec.worker.nodeSelector asks for" in found["message"]
    assert "node-a" in found["message"]


def test_free_slices_without_the_labels_are_told_beside_the_missing_ones() -> None:
    nodes = (
        make_node("node-a", "a", 1, labels={"gpu": "a100"}),
        make_node("node-a2", "a", 1, labels={"gpu": "t4"}),
    )
    affinity = required({"key": "gpu", "operator": "In", "values": ["a100", "h100"]})
    message = conditions(nodes, replicas=2, worker={"affinity": affinity})["CapacityAvailable"]["message"]
    assert "1 of 2 slices" in message
    assert "1 node has free slices and not the labels that spec.worker.affinity asks for (node-a2 for one)" in message


@pytest.mark.parametrize(
    ("expression", "holds"),
    [
        ({"key": "gpu", "operator": "In", "values": ["a100"]}, True),
        ({"key": "gpu", "operator": "In", "values": ["t4"]}, False),
        ({"key": "none", "operator": "In", "values": ["t4"]}, False),
        ({"key": "gpu", "operator": "NotIn", "values": ["t4"]}, True),
        ({"key": "none", "operator": "NotIn", "values": ["t4"]}, True),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"key": "none", "operator": "Exists"}, False),
        ({"key": "none", "operator": "DoesNotExist"}, True),
        ({"key": "gpu", "operator": "DoesNotExist"}, False),
        ({"key": "size", "operator": "Gt", "values": ["7"]}, True),
        ({"key": "size", "operator": "Gt", "values": ["8"]}, False),
        ({"key": "size", "operator": "Lt", "values": ["9"]}, True),
        ({"key": "gpu", "operator": "Gt", "values": ["1"]}, False),
    ],
)
def test_a_node_is_chosen_as_the_scheduler_chooses_it(expression: dict[str, Any], holds: bool) -> None:
    node = make_node("n", "a", labels={"gpu": "a100", "size": "8"})
    (seen,) = placed_nodes(read_placement({"affinity": required(expression)}), [node])
    assert seen.usable is holds


def test_one_term_of_several_is_enough_and_in_a_term_all_must_hold() -> None:
    node = make_node("n", "a", labels={"gpu": "a100"})
    yes, no = {"key": "gpu", "operator": "Exists"}, {"key": "size", "operator": "Exists"}
    either = {"nodeSelectorTerms": [{"matchExpressions": [no]}, {"matchExpressions": [yes]}]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": either}}
    assert placed_nodes(read_placement({"affinity": affinity}), [node])[0].usable
    assert not placed_nodes(read_placement({"affinity": required(yes, no)}), [node])[0].usable


@pytest.mark.parametrize(
    ("failure", "field", "step"),
    [
        (
            'pods "chat-x" is forbidden: pod rejected: RuntimeClass "nvidia" not found',
            {"runtimeClassName": "nvidia"},
            "create RuntimeClass nvidia, or change spec.worker.runtimeClassName",
        ),
        (
            'pods "chat-x" is forbidden: error looking up service account default/llm: serviceaccount "llm" not found',
            {"serviceAccountName": "llm"},
            "create ServiceAccount llm in the namespace, or change spec.worker.serviceAccountName",
        ),
        (
            'pods "chat-x" is forbidden: no PriorityClass with name high was found',
            {"priorityClassName": "high"},
            "create PriorityClass high, or change spec.worker.priorityClassName",
        ),
        (
            'pods "chat-x" is forbidden: failed quota: q: must specify limits.cpu for: worker',
            {},
            "set spec.worker.resources, or the resources of the container in the chart's values",
        ),
    ],
)
def test_a_refusal_of_pods_is_told_with_the_field_behind_it(failure: str, field: dict[str, str], step: str) -> None:
    nodes = (make_node("node-a", "a"),)
    refused = ObservedDeployment("chat-a-x", "x", "a", replicas=1, failure=failure)
    found = conditions(nodes, {"deployments": (refused,)}, replicas=1, worker=field)
    assert found["WorkersReady"]["reason"] == "PodsForbidden"
    assert failure in found["WorkersReady"]["message"]
    assert found["WorkersReady"]["message"].endswith(step)
    assert found["Stalled"]["status"] == "True"


def test_a_stored_revision_is_judged_by_what_it_was_rendered_with() -> None:
    """An installation that takes a toleration away leaves running revisions where they are."""
    node = make_node("node-a", "a", taints=(TEAM,))
    pool = make_pool(replicas=1)
    tolerant = WorkerSpec.model_validate({"tolerations": [{"key": "team", "operator": "Exists"}]})
    first = plan_pool(pool, make_observed(nodes=(node,), worker_defaults=tolerant), 0.0)
    (stored,) = [item for item in first.children or () if item["kind"] == "ControllerRevision"]
    marks = stored["metadata"]["labels"]
    revision = ObservedRevision(stored["metadata"]["name"], marks["slicewise.dev/revision"], 1, stored["data"])
    later = make_observed(nodes=(node,), revisions=(revision,))
    plan = plan_pool(pool, later, 1.0)
    found = {item["type"]: item for item in plan.status["conditions"]}
    assert found["CapacityAvailable"]["status"] == "True"


@pytest.mark.parametrize(("labels", "waits"), [({"pool": "web"}, True), ({"pool": "llm"}, False)])
def test_a_worker_gives_way_only_where_its_slice_is_one_that_the_new_revision_may_use(
    labels: dict[str, str], waits: bool
) -> None:
    """A full zone: both of its workers stand on nodes, one of which the new selector may shut out."""
    nodes = (make_node("node-a", "a", 1, labels={"pool": "llm"}), make_node("node-a2", "a", 1, labels=labels))
    first = plan_pool(make_pool(replicas=2), make_observed(nodes=nodes), 0.0)
    (stored,) = [item for item in first.children or () if item["kind"] == "ControllerRevision"]
    name = stored["metadata"]["labels"]["slicewise.dev/revision"]
    observed = make_observed(
        nodes=nodes,
        revisions=(ObservedRevision(stored["metadata"]["name"], name, 1, stored["data"]),),
        deployments=(ObservedDeployment(f"chat-a-{name}", name, "a", replicas=2),),
        pods=(make_pod("one", name, "a"), make_pod("two", name, "a", node="node-a2")),
        status=first.status,
    )
    changed = make_pool(replicas=2, worker={"nodeSelector": {"pool": "llm"}}, generation=2)
    state = plan_pool(changed, observed, 1.0).status["rollout"]
    later = replace(observed, status=PoolStatus.read({**first.status, "rollout": state}))
    message = plan_pool(changed, later, 2.0).status["rollout"]["message"]
    assert ("hold others" in message) is waits, message


def test_what_holds_up_workers_is_told_with_its_field() -> None:
    nodes = (make_node("node-a", "a"),)
    silent = make_pod("w", "x", "a", node=None, phase="Pending", ready=False)
    found = conditions(nodes, {"pods": (silent,)}, replicas=1, worker={"schedulerName": "batch"})
    assert "scheduler 'batch' (spec.worker.schedulerName) has not placed 1 of them" in found["WorkersReady"]["message"]
    words = {"waiting_reason": "CreateContainerConfigError", "waiting_message": 'configmap "extra" not found'}
    broken = make_pod("w", "x", "a", phase="Pending", ready=False, **words)
    found = conditions(nodes, {"pods": (broken,)}, replicas=1)
    assert 'w: configmap "extra" not found (spec.worker.env and envFrom' in found["WorkersReady"]["message"]


@pytest.mark.parametrize(
    ("worker", "field"),
    [
        ({"volumes": [{"name": "ca", "secret": {"secretName": "extra"}}]}, "volumes"),
        ({"envFrom": [{"secretRef": {"name": "extra"}}]}, "envFrom"),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "a"}}}]}, "env"),
    ],
)
def test_a_secret_that_workers_cannot_start_without_is_named(worker: dict[str, Any], field: str) -> None:
    mounts = field == "volumes"
    reason = "FailedMount" if mounts else "CreateContainerConfigError"
    words = f'{"MountVolume.SetUp failed for volume ca : " if mounts else ""}secret "extra" not found'
    pod = make_pod("chat-a", "x", "a", phase="Pending", ready=False, waiting_reason=reason, waiting_message=words)
    found = conditions((make_node("node-a", "a"),), {"pods": (pod,)}, replicas=1, worker=worker)["WeightsCached"]
    assert found["reason"] == "SecretMissing"
    assert f"Secret 'extra' (spec.worker.{field}) does not exist in namespace default" in found["message"]
