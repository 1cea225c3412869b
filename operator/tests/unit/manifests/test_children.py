"""The children of a pool, as Kubernetes objects."""

from __future__ import annotations

import json
from typing import Any

import pytest
from builders import MIG, make_observed, make_pool
from hypothesis import given
from hypothesis import strategies as st

from slicewise.api.v1alpha1.resources import Resources
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.deployment import build_deployment
from slicewise.manifests.metadata import zone_slug
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool


def planned(observed: dict[str, Any] | None = None, **spec: Any) -> PoolPlan:
    return plan_pool(make_pool(**spec), make_observed(**(observed or {})), 0.0)


def child(plan: PoolPlan, kind: str, name: str = "") -> dict[str, Any]:
    assert plan.children is not None
    return next(dict(item) for item in plan.children if item["kind"] == kind and name in item["metadata"]["name"])


def kinds(plan: PoolPlan) -> list[str]:
    return [item["kind"] for item in plan.children or ()]


def test_what_pods_refer_to_comes_first_then_budgets_then_deployments_and_the_gateway_last() -> None:
    plan = planned(replicas=3)
    assert kinds(plan) == [
        "ServiceAccount",
        "NetworkPolicy",
        *["Service"] * 3,
        "ConfigMap",
        "ControllerRevision",
        *["PodDisruptionBudget"] * 3,
        *["Deployment"] * 3,
        "ServiceAccount",
        "RoleBinding",
        "NetworkPolicy",
        "Deployment",
    ]


def test_the_same_pool_gives_the_same_children_byte_for_byte() -> None:
    assert json.dumps(planned(replicas=3).children) == json.dumps(planned(replicas=3).children)


def test_every_child_carries_the_pools_labels_and_none_of_the_parents() -> None:
    for item in planned(replicas=3).children or ():
        labels = item["metadata"]["labels"]
        assert labels["slicewise.dev/pool"] == "chat"
        assert labels["app.kubernetes.io/managed-by"] == "slicewise"
        assert "app.kubernetes.io/instance" not in labels
        assert "annotations" not in item["metadata"]


def test_a_budget_is_an_integer_over_both_revisions_of_one_zone() -> None:
    budget = child(planned(replicas=3), "PodDisruptionBudget", "chat-a")
    assert budget["spec"] == {
        "minAvailable": 1,
        "selector": {
            "matchLabels": {
                "app.kubernetes.io/managed-by": "slicewise",
                "slicewise.dev/pool": "chat",
                "slicewise.dev/role": "worker",
                "slicewise.dev/zone": "a",
            }
        },
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
    }


def test_a_worker_takes_exactly_one_slice_and_nothing_it_does_not_need() -> None:
    resources = {"requests": {"cpu": "100m"}, "limits": {"memory": "512Mi"}}
    shape = WorkerSpec(resources=Resources(**resources))
    pod = child(planned({"worker_defaults": shape}, replicas=3), "Deployment")["spec"]["template"]["spec"]
    worker, fetch = pod["containers"][0], pod["initContainers"][0]
    assert worker["resources"] == {"requests": {"cpu": "100m", MIG: "1"}, "limits": {"memory": "512Mi", MIG: "1"}}
    assert MIG not in json.dumps(fetch["resources"])
    assert pod["automountServiceAccountToken"] is False
    for container in (worker, fetch):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
    assert pod["securityContext"]["runAsNonRoot"] is True


def test_the_worker_reads_weights_and_only_the_fetcher_writes_them() -> None:
    pod = child(planned(replicas=3), "Deployment")["spec"]["template"]["spec"]
    mounts = {item["name"]: item for item in pod["containers"][0]["volumeMounts"]}
    assert mounts["weights"]["readOnly"] is True
    assert mounts["run"]["readOnly"] is True
    assert "readOnly" not in next(
        item for item in pod["initContainers"][0]["volumeMounts"] if item["name"] == "weights"
    )


def test_a_cpu_slice_asks_for_cpu_and_memory_and_no_device() -> None:
    plan = planned(replicas=1, slice={"cpu": {"cores": "1", "memory": "2Gi"}})
    worker = child(plan, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    assert worker["resources"] == {
        "requests": {"cpu": "1", "memory": "2Gi"},
        "limits": {"cpu": "1", "memory": "2Gi"},
    }
    assert {"name": "SLICEWISE_WORKER_DEVICE", "value": "cpu"} in worker["env"]


def test_a_claim_from_a_template_is_made_and_lists_the_live_weights() -> None:
    cache = {"persistentVolumeClaim": {"template": {"accessModes": ["ReadWriteMany"], "size": "20Gi"}}}
    plan = planned(replicas=3, cache=cache)
    assert child(plan, "PersistentVolumeClaim")["spec"]["resources"] == {"requests": {"storage": "20Gi"}}
    live = json.loads(child(plan, "ConfigMap", "weights")["data"]["live.json"])
    assert live == [{"digest": make_pool().spec.model.digest, "source": make_pool().spec.model.source}]
    env = child(plan, "Deployment")["spec"]["template"]["spec"]["initContainers"][0]["env"]
    assert {"name": "SLICEWISE_FETCH_CACHE_SIZE_LIMIT", "value": str(20 * 2**30)} in env


def test_a_change_of_the_cache_size_restarts_no_worker() -> None:
    before = planned(replicas=3, cache={"emptyDir": {"sizeLimit": "1Gi"}})
    stored = child(before, "ControllerRevision")
    revision = {"name": stored["metadata"]["name"], "number": 1, "data": stored["data"]}
    from slicewise.pool.observed import ObservedRevision

    hashed = stored["metadata"]["labels"]["slicewise.dev/revision"]
    observed = {"revisions": (ObservedRevision(hash=hashed, **revision),), "status": before.status}
    after = planned(observed, replicas=3, cache={"emptyDir": {"sizeLimit": "2Gi"}})
    assert child(after, "Deployment", "chat-a") == child(before, "Deployment", "chat-a")


def test_what_the_api_server_refuses_of_stored_labels_is_left_out_of_pods_and_all_else_is_kept_to_the_letter() -> None:
    metadata = {
        "labels": {"team": "a b", "a team": "x", "long": "x" * 64, "owner": "ml", "slicewise.dev/pool": "chat"},
        "annotations": {"a team": "x", "note": "any text, with blanks"},
    }
    pod = build_deployment(make_pool(), "0a", {"metadata": metadata, "spec": {}}, "a", 1)["spec"]["template"]
    assert pod["metadata"]["labels"] == {"owner": "ml", "slicewise.dev/pool": "chat", "slicewise.dev/zone": "a"}
    assert pod["metadata"]["annotations"] == {"note": "any text, with blanks"}


def test_credentials_are_mounted_for_the_fetcher_alone() -> None:
    model = {
        "source": "s3://bucket/a.gguf",
        "digest": make_pool().spec.model.digest,
        "credentialsSecretRef": {"name": "s3"},
    }
    pod = child(planned(replicas=1, model=model), "Deployment")["spec"]["template"]["spec"]
    assert "credentials" in {item["name"] for item in pod["initContainers"][0]["volumeMounts"]}
    assert "credentials" not in {item["name"] for item in pod["containers"][0]["volumeMounts"]}


@given(st.lists(st.text(max_size=70), min_size=2, max_size=2, unique=True))
def test_two_zones_never_share_a_name_and_every_name_is_a_dns_label(zones: list[str]) -> None:
    first, second = (zone_slug(zone) for zone in zones)
    assert first != second
    for slug in (first, second):
        assert len(slug) <= 24
        assert slug.replace("-", "a").isalnum()
        assert slug == slug.lower().strip("-")


@pytest.mark.parametrize(("zone", "slug"), [("a", "a"), ("europe-west1-b", "europe-west1-b"), ("", "nozone")])
def test_an_ordinary_zone_is_its_own_slug(zone: str, slug: str) -> None:
    assert zone_slug(zone) == slug
