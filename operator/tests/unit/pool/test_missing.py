"""A Secret or ConfigMap that workers cannot start without: named with its field or its key, from the kubelet's words alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from agreement import contradictions
from builders import make_node, make_observed, make_pod, make_pool
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1.worker import WorkerSpec
from slicewise.pool.conditions.missing import Missing, read_missing
from slicewise.pool.plan import plan_pool

MOUNT = 'MountVolume.SetUp failed for volume "{}" : {}'
HUB = MOUNT.format("credentials", 'secret "hub" not found')


def lacking(words: str) -> dict[str, Any]:
    mounts = words.startswith("MountVolume")
    return {"waiting_reason": "FailedMount" if mounts else "CreateContainerConfigError", "waiting_message": words}


def told(words: str, *, defaults: WorkerSpec | None = None, **spec: Any) -> dict[str, Any]:
    pod = make_pod("w", "0ldc0de", "a", phase="Pending", ready=False, **lacking(words))
    observed = make_observed(nodes=(make_node("node-a", "a"),), pods=(pod,), worker_defaults=defaults or WorkerSpec())
    plan = plan_pool(make_pool(replicas=1, **spec), observed, 0.0)
    assert contradictions(plan.status, observed.pods) == []
    return {item["type"]: item for item in plan.status["conditions"]}


WORKER = {
    "volumes": [
        {"name": "ca", "secret": {"secretName": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"name": "rules", "configMap": {"name": "rules", "items": [{"key": "a", "path": "a"}]}},
        {"name": "may", "secret": {"secretName": "may", "optional": True}},
    ],
    "envFrom": [{"secretRef": {"name": "whole"}}, {"configMapRef": {"name": "settings"}}],
    "env": [
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "one", "key": "a"}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "other", "key": "b"}}},
    ],
}


@pytest.mark.parametrize(
    ("words", "reason", "message"),
    [
        (
            MOUNT.format("ca", 'secret "ca" not found'),
            "SecretMissing",
            "Secret 'ca' (spec.worker.volumes) does not exist",
        ),
        ('secret "whole" not found', "SecretMissing", "Secret 'whole' (spec.worker.envFrom) does not exist"),
        ('secret "one" not found', "SecretMissing", "Secret 'one' (spec.worker.env) does not exist"),
        (
            MOUNT.format("rules", 'configmap "rules" not found'),
            "ConfigMapMissing",
            "ConfigMap 'rules' (spec.worker.volumes) does not exist",
        ),
        (
            'configmap "settings" not found',
            "ConfigMapMissing",
            "ConfigMap 'settings' (spec.worker.envFrom) does not exist",
        ),
        (
            "couldn't find key a in Secret default/one",
            "SecretMissing",
            "Secret 'one' (spec.worker.env) in namespace default has no key 'a': add it",
        ),
        (
            "couldn't find key b in ConfigMap default/other",
            "ConfigMapMissing",
            "ConfigMap 'other' (spec.worker.env) in namespace default has no key 'b': add it",
        ),
        (
            MOUNT.format("ca", "references non-existent secret key: ca.crt"),
            "SecretMissing",
            "Secret 'ca' (spec.worker.volumes) in namespace default has no key 'ca.crt': add it",
        ),
        (
            MOUNT.format("rules", "references non-existent config key: a"),
            "ConfigMapMissing",
            "ConfigMap 'rules' (spec.worker.volumes) in namespace default has no key 'a': add it",
        ),
    ],
)
def test_what_is_missing_is_named_with_its_field_and_stalls_the_pool(words: str, reason: str, message: str) -> None:
    found = told(words, worker=WORKER)
    assert found["WeightsCached"]["reason"] == reason
    assert message in found["WeightsCached"]["message"]
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", reason)


def test_what_the_installation_names_is_told_with_its_value() -> None:
    defaults = WorkerSpec.model_validate({"envFrom": [{"secretRef": {"name": "proxy"}}]})
    found = told('secret "proxy" not found', defaults=defaults)["WeightsCached"]
    assert "Secret 'proxy' (chart value worker.envFrom) does not exist in namespace default" in found["message"]


def test_what_only_an_older_revision_names_is_told_with_that() -> None:
    assert (
        "Secret 'gone' (of revision 0ldc0de) does not exist"
        in told('secret "gone" not found')["WeightsCached"]["message"]
    )
    lost = MOUNT.format("x", "references non-existent secret key: k")
    assert (
        "Secret of volume 'x' (of revision 0ldc0de) in namespace default has no key 'k'"
        in told(lost)["Stalled"]["message"]
    )


@pytest.mark.parametrize(
    "words",
    [
        MOUNT.format("weights", "mount failed: exit status 32"),
        "Unable to attach or mount volumes: unmounted volumes=[ca]: timed out waiting for the condition",
        MOUNT.format("ca", 'object "default"/"ca" not registered'),
        'secret "../../etc" not found',
        'secret "' + "a" * 300 + '" not found',
    ],
)
def test_other_words_are_told_as_they_are_and_claim_nothing(words: str) -> None:
    assert read_missing(words) is None
    found = told(words, worker=WORKER)
    assert found["WeightsCached"]["reason"] == "Pending"
    assert words[:200] in found["WorkersReady"]["message"]
    assert found["Stalled"]["status"] == "False"


def test_words_are_read_whatever_stands_around_them() -> None:
    assert read_missing(HUB) == Missing("Secret", "hub")
    assert read_missing("couldn't find key a.b in Secret team-a/x") == Missing("Secret", "x", key="a.b")


def test_a_secret_that_only_a_canary_lacks_leaves_what_serves_alone() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.pool = changed(run.pool, model={**OTHER, "credentialsSecretRef": {"name": "hub"}})
    serving = set(run.pods)
    run.operate()
    while not set(run.pods) - serving:
        run.tick()
        run.operate()
    pods = tuple(pod if pod.name in serving else replace(pod, **lacking(HUB)) for pod in run.observed().pods)
    plan = plan_pool(run.pool, replace(run.observed(), pods=pods), run.now)
    assert plan.deletions == ()
    assert contradictions(plan.status, pods) == []
    found = {item["type"]: item for item in plan.status["conditions"]}
    assert found["WeightsCached"]["reason"] == "SecretMissing"
    assert "Secret 'hub' (spec.model.credentialsSecretRef) does not exist" in found["WeightsCached"]["message"]
    assert sum(pod.serving for pod in pods) == 3
