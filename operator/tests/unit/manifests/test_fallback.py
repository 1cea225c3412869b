"""The children of the CPU fallback, as Kubernetes objects, and that its pods are counted by nothing of a worker's."""

from __future__ import annotations

import json
from typing import Any

from builders import DIGEST, make_observed, make_pool

from slicewise.api.v1alpha1.placement import Toleration
from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.manifests.metadata import zone_slug
from slicewise.pool.observed import ObservedPool
from slicewise.pool.plan import plan_pool

Object = dict[str, Any]
CPU: Object = {"cores": "2", "memory": "4Gi", "replicas": 2}
TINY: Object = {"source": "https://models.example.com/tiny.gguf", "digest": DIGEST}
KEPT = {"persistentVolumeClaim": {"claimName": "weights"}}


def children(observed: ObservedPool | None = None, cpu: Object = CPU, **spec: Any) -> dict[tuple[str, str], Object]:
    plan = plan_pool(make_pool(fallback={"cpu": cpu}, **spec), observed or make_observed(), 0.0)
    return {(item["kind"], item["metadata"]["name"]): dict(item) for item in plan.children or ()}


def template(observed: ObservedPool | None = None, cpu: Object = CPU, **spec: Any) -> Object:
    found: Object = children(observed, cpu, **spec)["Deployment", "chat-fallback"]["spec"]["template"]
    return found


def env(pod: Object, container: str = "worker") -> dict[str, str]:
    (found,) = (
        item for item in (*pod["spec"]["initContainers"], *pod["spec"]["containers"]) if item["name"] == container
    )
    return {item["name"]: item.get("value", "") for item in found["env"]}


def test_its_pods_are_selected_by_its_own_objects_and_the_policies_alone() -> None:
    found = children(replicas=3, gateway={"replicas": 2})
    labels = template(replicas=3)["metadata"]["labels"]
    selecting = {
        (kind, name): (item["spec"].get("podSelector") or item["spec"]["selector"])
        for (kind, name), item in found.items()
        if kind in {"Service", "PodDisruptionBudget", "NetworkPolicy"}
    }
    mine = {key for key, selector in selecting.items() if selects(selector, labels)}
    assert mine == {
        ("Service", "chat-fallback"),
        ("PodDisruptionBudget", "chat-fallback"),
        ("NetworkPolicy", "chat-worker"),
    }
    to_pods = [
        peer["podSelector"]
        for rule in found["NetworkPolicy", "chat-gateway"]["spec"]["egress"]
        for peer in rule.get("to", ())
        if "podSelector" in peer
    ]
    assert any(selects(selector, labels) for selector in to_pods)


def selects(selector: Object, labels: dict[str, str]) -> bool:
    alike = selector.get("matchLabels", {} if "matchExpressions" in selector else selector)
    among = [labels.get(item["key"]) in item["values"] for item in selector.get("matchExpressions", ())]
    return alike.items() <= labels.items() and all(among)


def test_the_policies_of_a_pool_without_one_are_as_they_were() -> None:
    plan = plan_pool(make_pool(), make_observed(), 0.0)
    policy = next(item for item in plan.children or () if item["metadata"]["name"] == "chat-worker" and "spec" in item)
    labels = {"slicewise.dev/pool": "chat", "slicewise.dev/role": "worker"}
    assert policy["spec"]["podSelector"] == {"matchLabels": labels}


def test_a_worker_takes_cpu_and_memory_and_no_slice_and_does_not_ask_for_a_device() -> None:
    pod = template()
    (worker,) = pod["spec"]["containers"]
    assert worker["resources"] == {side: {"cpu": "2", "memory": "4Gi"} for side in ("requests", "limits")}
    assert env(pod)["SLICEWISE_WORKER_DEVICE"] == "cpu"
    assert "SLICEWISE_WORKER_ALLOW_CPU" not in env(pod)
    assert "nvidia.com/mig-1g.10gb" not in json.dumps(pod)


def test_where_workers_go_with_slices_is_not_where_it_goes() -> None:
    for_gpus = WorkerSpec.model_validate(
        {
            "nodeSelector": {"gpu": "yes"},
            "runtimeClassName": "nvidia",
            "tolerations": [{"key": "gpu", "operator": "Exists"}],
            "labels": {"team": "ml"},
        }
    )
    own = {
        "nodeSelector": {"more": "gpu"},
        "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "rack", "whenUnsatisfiable": "DoNotSchedule"}],
    }
    cpu = {**CPU, "nodeSelector": {"node": "cpu"}, "tolerations": [{"key": "cpu", "operator": "Exists"}]}
    pod = template(make_observed(worker_defaults=for_gpus), cpu, worker=own)
    spec = pod["spec"]
    assert spec["nodeSelector"] == {"node": "cpu"}
    assert [item["key"] for item in spec["tolerations"]] == [
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "cpu",
    ]
    assert list(spec["affinity"]) == ["nodeAffinity"]
    assert list(spec["affinity"]["nodeAffinity"]) == ["preferredDuringSchedulingIgnoredDuringExecution"]
    assert not {"runtimeClassName", "topologySpreadConstraints"} & spec.keys()
    assert pod["metadata"]["labels"]["team"] == "ml", "the rest of spec.worker holds for it too"
    assert isinstance(for_gpus.tolerations, tuple)
    assert isinstance(for_gpus.tolerations[0], Toleration)


def test_without_a_model_of_its_own_it_serves_the_pools_with_its_adapters() -> None:
    adapters = [{"name": "law", "source": "https://models.example.com/law.gguf", "digest": DIGEST}]
    pod = template(model={"source": "https://models.example.com/big.gguf", "digest": DIGEST, "adapters": adapters})
    assert env(pod, "fetch")["SLICEWISE_FETCH_SOURCE"] == "https://models.example.com/big.gguf"
    assert "law" in env(pod, "fetch")["SLICEWISE_FETCH_ADAPTERS"]
    assert env(pod)["SLICEWISE_WORKER_MODEL_NAME"] == "chat"


def test_a_model_of_its_own_answers_to_the_pools_names() -> None:
    model = {"name": "big", "aliases": ["old"], "source": "https://models.example.com/big.gguf", "digest": DIGEST}
    pod = template(cpu={**CPU, "model": TINY}, model=model)
    assert env(pod, "fetch")["SLICEWISE_FETCH_SOURCE"] == TINY["source"]
    assert env(pod)["SLICEWISE_WORKER_MODEL_NAME"] == "big"
    assert json.loads(env(pod)["SLICEWISE_WORKER_MODEL_ALIASES"]) == ["old"]


def test_a_name_of_its_own_is_what_answers_carry_and_the_pools_names_still_count() -> None:
    model = {"name": "big", "aliases": ["old"], "source": "https://models.example.com/big.gguf", "digest": DIGEST}
    pod = template(cpu={**CPU, "model": {**TINY, "name": "tiny", "aliases": ["old", "small"]}}, model=model)
    assert env(pod)["SLICEWISE_WORKER_MODEL_NAME"] == "tiny"
    assert json.loads(env(pod)["SLICEWISE_WORKER_MODEL_ALIASES"]) == ["big", "old", "small"]


def test_its_weights_are_kept_in_a_shared_cache() -> None:
    found = children(cpu={**CPU, "model": TINY}, cache=KEPT)
    live = json.loads(found["ConfigMap", "chat-weights"]["data"]["live.json"])
    assert TINY in live
    volumes = found["Deployment", "chat-fallback"]["spec"]["template"]["spec"]["volumes"]
    assert {"name": "weights", "persistentVolumeClaim": {"claimName": "weights"}} in volumes


def test_a_single_one_has_no_budget_that_would_hold_up_every_drain() -> None:
    assert ("PodDisruptionBudget", "chat-fallback") not in children(cpu={**CPU, "replicas": 1})
    assert children()["PodDisruptionBudget", "chat-fallback"]["spec"]["maxUnavailable"] == 1


def test_its_gateway_finds_it_by_the_label_of_revisions_and_names_it_in_answers() -> None:
    found = children()
    data = found["ConfigMap", "chat-gateway"]["data"]
    (cluster,) = json.loads(data["agent.json"])["clusters"].values()
    assert cluster["backends"][1] == {
        "service": "chat-fallback",
        "port": "http",
        "priority": 1,
        "servedBy": "cpu-fallback",
    }
    revisions = found["Service", cluster["backends"][0]["service"]]["metadata"]["labels"]
    assert found["Service", "chat-fallback"]["metadata"]["labels"].keys() == revisions.keys()


def test_a_zone_of_that_name_has_other_objects() -> None:
    assert zone_slug("fallback") != "fallback"


def test_neither_gate_nor_threads_of_the_pool_start_it_again() -> None:
    canary = {"p95": "600ms", "steps": [{"weight": 5, "window": "60s"}]}
    assert template(rollout={"canary": canary}, engine={"threads": 16}) == template()
