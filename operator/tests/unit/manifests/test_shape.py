"""How pods look: what the pool says over what the installation says, and what stays ours whatever they say."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from builders import MIG, make_node, make_observed, make_pool
from shape_cases import FULL_PLACEMENT, FULL_WORKER

from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.injected import ADAPTER_VOLUMES, OWN_PATHS, OWN_VOLUMES
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.installation import GatewayInstallation
from slicewise.manifests.shape import merge, plain
from slicewise.pool.plan import plan_pool
from slicewise.pool.revision import revision_hash, revision_inputs


def pods(pool: InferencePool, **observed: Any) -> dict[str, dict[str, Any]]:
    """Deployment → pod template."""
    plan = plan_pool(pool, make_observed(**observed), 0.0)
    return {
        item["metadata"]["name"].rpartition("-")[0] if "gateway" not in item["metadata"]["name"] else "gateway": dict(
            item["spec"]["template"]
        )
        for item in plan.children or ()
        if item["kind"] == "Deployment"
    }


def worker_pod(worker: dict[str, Any], **observed: Any) -> dict[str, Any]:
    labelled = [node_with(pool="llm", gpu="a100", name=f"node-{zone}", zone=zone) for zone in "abc"]
    return pods(make_pool(worker=worker, replicas=3), nodes=tuple(labelled), **observed)["chat-a"]


def node_with(name: str, zone: str, **labels: str) -> Any:
    return make_node(name, zone, labels=labels)


def test_every_field_reaches_the_pod() -> None:
    template = worker_pod(dict(FULL_WORKER))
    spec, metadata = template["spec"], template["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"] == {"owner": "ml"}
    assert spec["nodeSelector"] == {"pool": "llm"}
    assert FULL_PLACEMENT["tolerations"][0] in spec["tolerations"]
    assert spec["affinity"]["podAffinity"] == FULL_PLACEMENT["affinity"]["podAffinity"]
    assert spec["affinity"]["podAntiAffinity"] == FULL_PLACEMENT["affinity"]["podAntiAffinity"]
    assert (spec["runtimeClassName"], spec["schedulerName"]) == ("nvidia", "default-scheduler")
    assert (spec["serviceAccountName"], spec["priorityClassName"]) == ("llm", "high")
    assert spec["automountServiceAccountToken"] is False
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    assert spec["terminationGracePeriodSeconds"] == 120
    assert spec["securityContext"] == {
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "supplementalGroups": [2000],
        "fsGroupChangePolicy": "Always",
        "seccompProfile": {"type": "RuntimeDefault"},
        "runAsNonRoot": True,
    }
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= metadata["labels"].items()
    for container in [*spec["initContainers"], *spec["containers"]]:
        assert container["env"][0] == {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"}
        assert len(container["envFrom"]) == 2
        mount = {"name": "ca", "mountPath": "/etc/pool/ca", "subPath": "ca.crt", "readOnly": True}
        assert mount in container["volumeMounts"]
        assert container["securityContext"] == {
            "readOnlyRootFilesystem": False,
            "runAsUser": 1001,
            "runAsGroup": 1001,
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
    (worker,) = spec["containers"]
    assert worker["resources"] == {
        "requests": {"cpu": "1", "memory": "1Gi", MIG: "1"},
        "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi", MIG: "1"},
    }
    assert {"ca", "more"} <= {volume["name"] for volume in spec["volumes"]}


def test_the_zone_is_in_each_term_that_the_pool_requires() -> None:
    one, two = ({"key": key, "operator": "Exists"} for key in ("gpu", "pool"))
    terms = [{"matchExpressions": [one]}, {"matchExpressions": [two]}]
    nodes = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    affinity = worker_pod({"affinity": {"nodeAffinity": nodes}})["spec"]["affinity"]["nodeAffinity"]
    zone = {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}
    assert affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"] == [
        {"matchExpressions": [one, zone]},
        {"matchExpressions": [two, zone]},
    ]


def test_a_lost_node_gives_up_its_workers_soon_whatever_the_pool_tolerates() -> None:
    tolerations = worker_pod({"tolerations": [{"key": "team", "operator": "Exists"}]})["spec"]["tolerations"]
    soon = {item["key"] for item in tolerations if item.get("tolerationSeconds") == 30}
    assert soon == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}


def test_every_field_reaches_the_gateway_s_pod() -> None:
    template = pods(make_pool(gateway=dict(FULL_PLACEMENT), replicas=3))["gateway"]
    spec, metadata = template["spec"], template["metadata"]
    assert metadata["labels"]["team"] == "ml"
    assert metadata["annotations"]["owner"] == "ml"
    assert (spec["nodeSelector"], spec["priorityClassName"]) == ({"pool": "llm"}, "high")
    assert spec["tolerations"][2:] == FULL_PLACEMENT["tolerations"], "after those for a lost node"
    assert spec["affinity"] == FULL_PLACEMENT["affinity"]
    (spread,) = spec["topologySpreadConstraints"]
    assert spread["labelSelector"]["matchLabels"].items() <= metadata["labels"].items()
    envoy = next(item for item in spec["initContainers"] if item["name"] == "envoy")
    assert envoy["resources"] == FULL_PLACEMENT["resources"]
    # Four fifths of 2Gi, as a bound of Envoy's heap.
    plan = plan_pool(make_pool(gateway=dict(FULL_PLACEMENT)), make_observed(), 0.0)
    assert str(int(2 * 2**30 * 0.8)) in json.dumps(plan.children)


def test_the_pool_wins_part_by_part() -> None:
    low = WorkerSpec.model_validate(
        {
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
            "nodeSelector": {"a": "1", "b": "1"},
            "labels": {"a": "1", "b": "1"},
            "tolerations": [{"key": "a"}, {"key": "b"}],
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "1"}],
            "affinity": {"podAffinity": {}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
            "podSecurityContext": {"runAsUser": 1, "fsGroup": 1},
            "priorityClassName": "low",
            "runtimeClassName": "nvidia",
        }
    )
    high = WorkerSpec.model_validate(
        {
            "resources": {"requests": {"memory": "8Gi"}},
            "nodeSelector": {"b": "2"},
            "labels": {"b": "2"},
            "tolerations": [{"key": "b"}, {"key": "c"}],
            "env": [{"name": "B", "value": "2"}],
            "affinity": {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []}},
            "podSecurityContext": {"runAsUser": 2},
            "priorityClassName": "high",
        }
    )
    assert plain(merge(low, high)) == {
        # The limit of 2Gi is not left beside a request of 8Gi.
        "resources": {"requests": {"cpu": "1", "memory": "8Gi"}, "limits": {}},
        "nodeSelector": {"a": "1", "b": "2"},
        "labels": {"a": "1", "b": "2"},
        "tolerations": [{"key": "a"}, {"key": "b"}, {"key": "c"}],
        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
        "affinity": {
            "podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": []},
            "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []},
        },
        "podSecurityContext": {"runAsUser": 2, "fsGroup": 1},
        "priorityClassName": "high",
        "runtimeClassName": "nvidia",
    }
    assert merge(low, None) == low


def test_what_the_installation_says_reaches_pods_of_pools_that_say_nothing() -> None:
    shape = WorkerSpec.model_validate({"runtimeClassName": "nvidia", "labels": {"cost": "gpu"}})
    gateway = GatewayInstallation(shape=PodPlacement.model_validate({"nodeSelector": {"role": "edge"}}))
    found = pods(make_pool(replicas=3), worker_defaults=shape, gateway=gateway)
    assert found["chat-a"]["spec"]["runtimeClassName"] == "nvidia"
    assert found["chat-a"]["metadata"]["labels"]["cost"] == "gpu"
    assert found["gateway"]["spec"]["nodeSelector"] == {"role": "edge"}


def test_a_worker_on_cpu_keeps_the_size_of_its_slice() -> None:
    shape = WorkerSpec.model_validate({"resources": {"limits": {"memory": "1Gi", "ephemeral-storage": "5Gi"}}})
    pool = make_pool(slice={"cpu": {"cores": "2", "memory": "8Gi"}}, replicas=3)
    (worker,) = pods(pool, worker_defaults=shape)["chat-a"]["spec"]["containers"]
    assert worker["resources"] == {
        "requests": {"cpu": "2", "memory": "8Gi"},
        "limits": {"cpu": "2", "memory": "8Gi", "ephemeral-storage": "5Gi"},
    }


def test_names_and_paths_that_are_refused_are_all_that_a_worker_has() -> None:
    """A volume or a mount of ours that the rules do not know would let a pool write over it."""
    model = make_pool().spec.model.model_dump(by_alias=True, exclude_none=True)
    model |= {"source": "pvc://claim/model.gguf", "credentialsSecretRef": {"name": "k"}}
    adapter = model | {"name": "law", "source": "pvc://other/law.gguf"}
    template = {"accessModes": ["ReadWriteMany"], "size": "20Gi"}
    model |= {"adapters": [adapter]}
    pool = make_pool(model=model, cache={"persistentVolumeClaim": {"template": template}}, replicas=3)
    spec = pods(pool)["chat-a"]["spec"]
    names = {volume["name"] for volume in spec["volumes"]}
    assert {name for name in names if not re.fullmatch(ADAPTER_VOLUMES, name)} == set(OWN_VOLUMES)
    assert names - set(OWN_VOLUMES) == {"adapter-credentials-0", "adapter-source-0"}
    mounts = {item["mountPath"] for c in (*spec["initContainers"], *spec["containers"]) for item in c["volumeMounts"]}
    # A pool's own mounts have two parts at least.
    assert [path for path in mounts if not f"{path}/".startswith(OWN_PATHS)] == ["/source-0"]


@pytest.mark.parametrize("field", sorted({*FULL_WORKER} - {"labels", "annotations"}))
def test_a_change_of_how_pods_look_starts_a_revision(field: str) -> None:
    there = {"volumes": FULL_WORKER["volumes"]} if field == "volumeMounts" else {}
    changed = make_pool(worker={**there, field: FULL_WORKER[field]})
    assert revision_hash(revision_inputs(changed.spec)) != revision_hash(revision_inputs(make_pool(worker=there).spec))


@pytest.mark.parametrize("worker", [{}, {"labels": {"team": "ml"}}, {"annotations": {"owner": "ml"}}])
def test_labels_and_annotations_start_none_and_an_empty_field_is_as_no_field(worker: dict[str, Any]) -> None:
    assert revision_inputs(make_pool(worker=worker).spec) == revision_inputs(make_pool().spec)
