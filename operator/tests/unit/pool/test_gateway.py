"""GatewayProgrammed, and that Ready waits for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import make_pool
from simulation import OTHER, Simulation, changed

from slicewise.pool.observed import ApplyFailure, ObservedGatewayPod
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool
from slicewise.pool.rollout.traffic import ARRIVES_WITHIN


@pytest.fixture
def run() -> Simulation:
    settled = Simulation(make_pool(replicas=3, gateway={"replicas": 2}))
    settled.settle()
    settled.now += ARRIVES_WITHIN
    return settled


def conditions(run: Simulation, plan: PoolPlan | None = None, **observed: Any) -> dict[str, Any]:
    planned = plan or plan_pool(run.pool, replace(run.observed(), **observed), run.now)
    return {item["type"]: item for item in planned.status["conditions"]}


def said(pod: ObservedGatewayPod, **info: Any) -> ObservedGatewayPod:
    assert pod.info is not None
    return replace(pod, info=replace(pod.info, **info))


def test_a_pool_whose_gateway_runs_what_it_asks_for_is_ready(run: Simulation) -> None:
    found = conditions(run)
    assert (found["GatewayProgrammed"]["status"], found["GatewayProgrammed"]["reason"]) == ("True", "Programmed")
    assert found["Ready"]["status"] == "True"


@pytest.mark.parametrize(
    ("change", "status", "reason", "words"),
    [
        (lambda pod: replace(pod, ready=False, info=None), "False", "Starting", "1 of 2 gateway pods are ready"),
        (lambda pod: replace(pod, terminating=True), "False", "Starting", "1 of 2"),
        (lambda pod: replace(pod, started_with="before"), "False", "Starting", "is being replaced"),
        (lambda pod: replace(pod, info=None), "Unknown", "Unknown", "has not said yet"),
        (lambda pod: said(pod, running="before"), "False", "NotProgrammed", "not taken in the newest"),
        (lambda pod: said(pod, running=None, reason="Pending"), "False", "NotProgrammed", "not taken in"),
        (
            lambda pod: said(pod, running="before", reason="Refused", message="Envoy refused lds.json"),
            "False",
            "ConfigurationRefused",
            "Envoy refused lds.json",
        ),
        (
            lambda pod: replace(pod, ready=False, waiting_reason="ImagePullBackOff", waiting_message="no such image"),
            "False",
            "ImageNotPullable",
            "no such image",
        ),
        (
            lambda pod: replace(pod, ready=False, waiting_reason="Unschedulable", waiting_message="0/3 nodes"),
            "False",
            "Unschedulable",
            "0/3 nodes",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_gateway_pod_that_is_not_as_it_should_be_is_told_and_the_pool_is_not_ready(
    run: Simulation, change: Any, status: str, reason: str, words: str
) -> None:
    first, second = run.gateway_pods
    found = conditions(run, gateway_pods=(change(first), second))
    gateway = found["GatewayProgrammed"]
    assert (gateway["status"], gateway["reason"]) == (status, reason)
    assert words in gateway["message"]
    assert (found["Ready"]["status"], found["Ready"]["reason"]) == ("False", "GatewayNotProgrammed")
    assert words in found["Ready"]["message"]
    assert found["Stalled"]["status"] == ("True" if reason == "ConfigurationRefused" else "False")


def test_pods_that_a_policy_or_a_quota_keeps_out_are_told_in_its_words(run: Simulation) -> None:
    for words, reason in (("violates PodSecurity", "PodsForbidden"), ("exceeded quota: x", "QuotaExceeded")):
        found = conditions(run, gateway_pods=(), gateway_failure=words)
        assert found["GatewayProgrammed"]["reason"] == reason
        assert words in found["GatewayProgrammed"]["message"]


def test_a_gateway_object_that_is_refused_is_named(run: Simulation) -> None:
    refused = (ApplyFailure("RoleBinding", "chat-slicewise-gateway", 403, "may not bind"),)
    found = conditions(run, apply_failures=refused)
    assert found["GatewayProgrammed"]["reason"] == "ApplyFailed"
    assert "RoleBinding chat-slicewise-gateway" in found["GatewayProgrammed"]["message"]
    assert found["Ready"]["status"] == "False"


def saying(run: Simulation, **said: Any) -> tuple[ObservedGatewayPod, ...]:
    """Return the gateway's pods, whose agents say that besides."""
    pods = run.observed().gateway_pods
    return tuple(replace(pod, info=replace(pod.info, **said)) for pod in pods if pod.info is not None)


def test_a_missing_secret_with_keys_is_told_with_what_it_means(run: Simulation) -> None:
    run.pool = changed(run.pool, gateway={"replicas": 2, "tenantKeysSecretRef": {"name": "keys"}})
    run.settle()
    assert run.condition("GatewayProgrammed")["status"] == "True", "it is not known to be missing"
    found = conditions(run, gateway_pods=saying(run, keyed=True, tenants=0))
    assert found["GatewayProgrammed"]["reason"] == "SecretMissing"
    assert "'keys' (spec.gateway.tenantKeysSecretRef)" in found["GatewayProgrammed"]["message"]
    assert "401" in found["GatewayProgrammed"]["message"]
    assert found["WeightsCached"]["reason"] == "Cached"


def test_keys_that_have_not_reached_one_of_the_pods_are_not_told_as_missing(run: Simulation) -> None:
    run.pool = changed(run.pool, gateway={"replicas": 2, "tenantKeysSecretRef": {"name": "keys"}})
    run.settle()
    one, other = saying(run, keyed=True, tenants=0)
    assert other.info is not None
    keyed = replace(other, info=replace(other.info, tenants=3))
    found = conditions(run, gateway_pods=(one, keyed))["GatewayProgrammed"]
    assert (found["status"], found["reason"]) == ("False", "NotProgrammed")
    assert (
        f"{one.name} does not have the keys of Secret 'keys' (spec.gateway.tenantKeysSecretRef) yet" in found["message"]
    )


@pytest.mark.parametrize(
    "said",
    [{"keyed": True, "tenants": None}, {"keyed": False, "tenants": 0}, {"keyed": True, "tenants": 2}],
    ids=["an agent that does not count tenants", "one that runs what came before the keys", "one that has them"],
)
def test_keys_are_told_as_missing_only_by_agents_that_know(run: Simulation, said: dict[str, Any]) -> None:
    run.pool = changed(run.pool, gateway={"replicas": 2, "tenantKeysSecretRef": {"name": "keys"}})
    run.settle()
    assert conditions(run, gateway_pods=saying(run, **said))["GatewayProgrammed"]["reason"] == "Programmed"


def test_keys_that_let_nobody_in_are_told_with_their_tenants_and_hold_up_nothing(run: Simulation) -> None:
    run.pool = changed(run.pool, gateway={"replicas": 2, "tenantKeysSecretRef": {"name": "keys"}})
    run.settle()
    complaints = [f"t{number}: a key shorter than 8 characters" for number in range(6)] + ["other, twin: the same key"]
    pods = tuple(
        replace(pod, info=replace(pod.info, keyed=True, complaints=tuple(complaints)))
        for pod in run.observed().gateway_pods
        if pod.info is not None
    )
    found = conditions(run, gateway_pods=pods)
    message = found["GatewayProgrammed"]["message"]
    assert found["GatewayProgrammed"]["status"] == "True", "the other tenants are served"
    assert (
        "Secret 'keys' (spec.gateway.tenantKeysSecretRef) are ignored: other, twin: the same key; t0: a key shorter"
        in message
    )
    assert message.count("t0: ") == 1, "two pods say the same"
    assert "and 2 more" in message
    assert "are ignored" not in run.condition("GatewayProgrammed")["message"]


def test_a_cache_without_its_redis_is_said_and_holds_up_nothing() -> None:
    run = Simulation(make_pool(gateway={"responseCache": {"redisSecretRef": {"name": "redis"}}}))
    run.settle()
    found = conditions(run, gateway_pods=saying(run, redis=False))
    assert found["GatewayProgrammed"]["status"] == "True"
    assert (
        "Secret 'redis' in namespace default does not exist or has no address" in found["GatewayProgrammed"]["message"]
    )
    assert found["Ready"]["status"] == "True"
    assert "redis" not in run.condition("GatewayProgrammed")["message"]


@pytest.mark.parametrize(
    "said", [(None, None), (True, True), (False, True)], ids=["older edges", "there", "on its way"]
)
def test_a_redis_is_told_as_missing_only_where_no_edge_has_it(said: tuple[bool | None, ...]) -> None:
    run = Simulation(make_pool(gateway={"replicas": 2, "responseCache": {"redisSecretRef": {"name": "redis"}}}))
    run.settle()
    pods = tuple(
        replace(pod, info=replace(pod.info, redis=redis))
        for pod, redis in zip(run.observed().gateway_pods, said, strict=True)
        if pod.info is not None
    )
    assert "redis" not in conditions(run, gateway_pods=pods)["GatewayProgrammed"]["message"]


@pytest.mark.parametrize("spec", [{"replicas": 0}, {"suspend": True}])
def test_a_pool_without_workers_keeps_its_gateway_and_is_ready_with_it(spec: dict[str, Any]) -> None:
    run = Simulation(make_pool(**spec))
    plan = run.settle()
    assert [item["metadata"]["name"] for item in plan.children or () if item["kind"] == "Deployment"][
        -1
    ] == "chat-gateway"
    assert run.condition("Ready")["status"] == "True"
    assert conditions(run, gateway_pods=())["Ready"]["reason"] == "GatewayNotProgrammed"


def test_while_a_rollout_moves_weights_an_older_configuration_counts_and_at_rest_it_does_not(run: Simulation) -> None:
    """At rest, once the gateway has had the time to take up the rollout's last shares: no word flaps at its end."""
    run.pool = changed(run.pool, model=OTHER)
    seen: dict[str, set[str]] = {}
    for _ in range(200):
        run.operate()
        older = tuple(said(pod, running="older") for pod in run.gateway_pods)
        plan = plan_pool(run.pool, replace(run.observed(), gateway_pods=older), run.now)
        seen.setdefault(plan.status["rollout"]["phase"], set()).add(
            conditions(run, plan)["GatewayProgrammed"]["status"]
        )
        run.tick()
        if run.status["rollout"]["phase"] == "Idle" and "Promoting" in seen:
            break
    assert seen["Promoting"] == {"True"}
    assert seen["Idle"] == {"True"}
    run.now += ARRIVES_WITHIN
    assert conditions(run, gateway_pods=older)["GatewayProgrammed"]["status"] == "False"


def test_a_pool_with_jobs_has_a_way_to_them_and_for_them_and_one_without_has_neither(run: Simulation) -> None:
    with_jobs = changed(run.pool, jobs={"databaseSecretRef": {"name": "db"}, "requestTimeout": "60s"})
    for pool in (run.pool, with_jobs):
        children = plan_pool(pool, run.observed(), run.now).children or ()
        found = {(item["kind"], item["metadata"]["name"]): item for item in children}
        files = found["ConfigMap", "chat-gateway"]["data"]
        assert ("rds-jobs.json" in files, '"chat-jobs.default.svc"' in files["cds.json"]) == (pool is with_jobs,) * 2
    assert '"timeout":"57s"' in files["rds-jobs.json"], "a dispatcher waits for 60 seconds"
