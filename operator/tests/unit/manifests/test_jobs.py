"""The children of a pool with `spec.jobs`, as Kubernetes objects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.manifests.children import PRUNED_KINDS
from slicewise.manifests.metadata import budget_name, dispatch_name, jobs_name
from slicewise.manifests.metadata_addresses import EVERYWHERE_BUT_METADATA
from slicewise.pool.plan import plan_pool

Object = dict[str, Any]
Found = dict[tuple[str, str], Object]
JOBS: Object = {"databaseSecretRef": {"name": "jobs-db"}}
PROGRAMS = ("chat-jobs", "chat-jobs-dispatch")


def children(observed: Mapping[str, Any] | None = None, jobs: Object | None = JOBS, **spec: Any) -> Found:
    given = {} if jobs is None else {"jobs": jobs}
    plan = plan_pool(make_pool(**given, **spec), make_observed(**(observed or {})), 0.0)
    return {(item["kind"], item["metadata"]["name"]): dict(item) for item in plan.children or ()}


def pod(found: Found, name: str) -> Object:
    return dict(found["Deployment", name]["spec"]["template"]["spec"])


def only(found: Found) -> set[tuple[str, str]]:
    return set(found) - set(children(jobs=None))


def test_a_pool_with_jobs_gets_both_programs_and_how_they_are_reached() -> None:
    assert only(children()) == {
        ("ServiceAccount", "chat-jobs"),
        ("NetworkPolicy", "chat-jobs"),
        ("NetworkPolicy", "chat-jobs-dispatch"),
        ("Service", "chat-jobs"),
        ("Service", "chat-jobs-gateway"),
        ("PodDisruptionBudget", "chat-jobs"),
        ("PodDisruptionBudget", "chat-jobs-dispatch"),
        ("Deployment", "chat-jobs"),
        ("Deployment", "chat-jobs-dispatch"),
    }


def test_a_single_pod_has_no_budget_that_would_hold_up_drains() -> None:
    found = children(jobs={**JOBS, "replicas": 1, "dispatchers": 1})
    assert not [name for kind, name in only(found) if kind == "PodDisruptionBudget"]
    assert [found["Deployment", name]["spec"]["replicas"] for name in PROGRAMS] == [1, 1]


def test_jobs_change_no_worker_and_no_pod_of_the_gateway() -> None:
    before, after = children(jobs=None), children()
    same = [key for key in before if key not in {("NetworkPolicy", "chat-gateway"), ("ConfigMap", "chat-gateway")}]
    assert [before[key] for key in same] == [after[key] for key in same]


def test_what_goes_with_spec_jobs_is_of_kinds_that_are_pruned_and_the_rest_then_concerns_no_pod() -> None:
    stays = {kind for kind, _ in only(children()) if kind not in {kind for _, kind in PRUNED_KINDS}}
    assert stays == {"ServiceAccount", "NetworkPolicy"}


@pytest.mark.parametrize("name", PROGRAMS)
def test_pods_of_jobs_are_locked_down_and_have_no_token(name: str) -> None:
    spec = pod(children(), name)
    assert spec["serviceAccountName"] == "chat-jobs"
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"]
    for container in (*spec["initContainers"], *spec["containers"]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_tables_are_brought_up_to_date_before_a_program_serves_by_the_same_image(name: str) -> None:
    spec = pod(children({"jobs_image": "images.example.com/jobs:2"}), name)
    (migrate,), (main,) = spec["initContainers"], spec["containers"]
    assert migrate["args"] == ["slicewise-jobs", "migrate"]
    assert migrate["image"] == main["image"] == "images.example.com/jobs:2"


@pytest.mark.parametrize("name", PROGRAMS)
def test_credentials_are_a_mounted_file_that_may_come_later_and_rotate(name: str) -> None:
    spec = pod(children(), name)
    (volume,) = [item for item in spec["volumes"] if item["name"] == "database"]
    assert (volume["secret"]["secretName"], volume["secret"]["optional"]) == ("jobs-db", True)
    assert "secretKeyRef" not in str(spec)


def test_a_pod_that_has_to_stop_has_the_time_that_its_program_takes() -> None:
    found = children()
    dispatch = pod(found, "chat-jobs-dispatch")
    env = {item["name"]: item["value"] for item in dispatch["containers"][0]["env"]}
    needs = sum(float(env[f"SLICEWISE_JOBS_{part}_SECONDS"]) for part in ("DRAIN", "DATABASE_TIMEOUT"))
    assert dispatch["terminationGracePeriodSeconds"] > needs + 5
    api = pod(found, "chat-jobs")
    waits = api["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert api["terminationGracePeriodSeconds"] > waits + 15 + 10, "15 s for requests that run, 10 s for a transaction"


def test_the_memory_of_a_dispatcher_has_room_for_all_its_jobs_at_their_largest() -> None:
    def limit(**changed: Any) -> int:
        spec = pod(children(jobs={**JOBS, **changed}), "chat-jobs-dispatch")
        return int(spec["containers"][0]["resources"]["limits"]["memory"].removesuffix("Mi"))

    assert limit(slots=8) == 256 + 8 * 2 * 5
    assert limit(slots=256) == 256 + 256 * 2 * 5


def allowed(policy: Object, port: int) -> list[Object]:
    """Return the peers that reach a port; none means: any."""
    rules = [rule for rule in policy["spec"]["ingress"] if port in [item["port"] for item in rule["ports"]]]
    (rule,) = rules
    return list(rule.get("from", ()))


def roles(peers: list[Object]) -> list[str]:
    return [
        peer["podSelector"]["matchLabels"]["slicewise.dev/role"] if "podSelector" in peer else "operator"
        for peer in peers
    ]


def test_each_port_takes_those_alone_whom_it_is_for() -> None:
    found = children()
    api, dispatch = (found["NetworkPolicy", name] for name in PROGRAMS)
    assert roles(allowed(api, 8084)) == ["gateway"]
    assert roles(allowed(api, 9094)) == ["jobs-dispatch", "operator"]
    assert roles(allowed(dispatch, 9095)) == ["operator"]
    assert roles(allowed(found["NetworkPolicy", "chat-gateway"], 8085)) == ["jobs-dispatch"]


def test_without_jobs_no_policy_opens_the_port_that_asks_for_no_key() -> None:
    policy = children(jobs=None)["NetworkPolicy", "chat-gateway"]
    assert "8085" not in str(policy)
    assert "8084" not in str(policy)


def test_pods_of_jobs_reach_the_database_wherever_it_is_and_no_metadata_service() -> None:
    found = children()
    for name in PROGRAMS:
        egress = found["NetworkPolicy", name]["spec"]["egress"]
        assert {"to": EVERYWHERE_BUT_METADATA} in egress
    gateway = found["NetworkPolicy", "chat-gateway"]["spec"]["egress"]
    (rule,) = [rule for rule in gateway if rule.get("ports") == [{"port": 8084, "protocol": "TCP"}]]
    assert roles(rule["to"]) == ["jobs"]


def test_dispatchers_reach_the_gateway_by_a_service_that_clients_do_not_use() -> None:
    found = children()
    assert [item["port"] for item in found["Service", "chat"]["spec"]["ports"]] == [80]
    (port,) = found["Service", "chat-jobs-gateway"]["spec"]["ports"]
    assert (port["port"], port["targetPort"]) == (8085, 8085)
    assert found["Service", "chat-jobs-gateway"]["spec"]["type"] == "ClusterIP"


def test_the_service_of_the_api_lists_its_pods_one_by_one() -> None:
    spec = children()["Service", "chat-jobs"]["spec"]
    assert spec["clusterIP"] == "None"
    assert [item["port"] for item in spec["ports"]] == [8084, 9094]


def test_pods_are_shaped_as_the_installation_says() -> None:
    shape = PodPlacement.model_validate(
        {
            "resources": {"limits": {"memory": "1Gi"}},
            "nodeSelector": {"kind": "small"},
            "labels": {"team": "ml"},
            "priorityClassName": "high",
        }
    )
    found = children({"jobs_shape": shape, "image_pull_secrets": ("pull",)})
    for name in PROGRAMS:
        spec = pod(found, name)
        assert spec["nodeSelector"] == {"kind": "small"}
        assert spec["priorityClassName"] == "high"
        assert spec["imagePullSecrets"] == [{"name": "pull"}]
        assert spec["containers"][0]["resources"] == {"limits": {"memory": "1Gi"}}
        assert found["Deployment", name]["spec"]["template"]["metadata"]["labels"]["team"] == "ml"
        assert [item["topologyKey"] for item in spec["topologySpreadConstraints"]] == [
            "topology.kubernetes.io/zone",
            "kubernetes.io/hostname",
        ]


def test_zones_of_the_same_names_have_budgets_of_their_own() -> None:
    assert {jobs_name("chat"), dispatch_name("chat")}.isdisjoint(
        budget_name("chat", zone) for zone in ("jobs", "jobs-dispatch")
    )


def test_the_spec_is_acted_on() -> None:
    plan = plan_pool(make_pool(jobs=JOBS), make_observed(), 0.0)
    (accepted,) = [item for item in plan.status["conditions"] if item["type"] == "Accepted"]
    assert (accepted["status"], accepted["reason"]) == ("True", "Accepted")
