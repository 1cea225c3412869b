"""Pods that can be shaped: a pool that uses every field at once, and what is said where a field names something that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from e2e.support import pool as pools
from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

TAINT = "e2e.slicewise.dev/team=llm:NoSchedule"
LABEL = "e2e.slicewise.dev/pool"
SELECTOR = {LABEL: "llm"}


@pytest.fixture
def nodes_of_the_team(story: Story) -> Iterator[list[str]]:
    """The nodes of zones a and b, labelled; that of a has a taint of the user's own."""
    names = [story.nodes.in_zone(zone) for zone in "ab"]
    story.kubectl("label", "node", *names, f"{LABEL}=llm", "--overwrite")
    story.kubectl("taint", "node", names[0], TAINT, "--overwrite")
    yield names
    story.kubectl("taint", "node", names[0], f"{TAINT}-")
    story.kubectl("label", "node", *names, f"{LABEL}-")


def shaped() -> dict[str, Any]:
    """Every field of `spec.worker`."""
    chosen = {"key": LABEL, "operator": "In", "values": ["llm"]}
    near = {"labelSelector": {"matchLabels": {"app": "none"}}, "topologyKey": "kubernetes.io/hostname"}
    nodes = {
        "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [{"matchExpressions": [chosen]}]},
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 1, "preference": {"matchExpressions": [chosen]}}
        ],
    }
    return {
        "resources": {
            "requests": {"cpu": "60m", "memory": "128Mi", "ephemeral-storage": "10Mi"},
            "limits": {"cpu": "500m", "memory": "512Mi", "ephemeral-storage": "1Gi"},
        },
        "nodeSelector": SELECTOR,
        "tolerations": [{"key": "e2e.slicewise.dev/team", "value": "llm", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": nodes,
            "podAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "podAffinityTerm": near}]
            },
            "podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [near]},
        },
        "topologySpreadConstraints": [
            {"topologyKey": "kubernetes.io/hostname", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}
        ],
        "runtimeClassName": "e2e-shaped",
        "priorityClassName": "e2e-shaped",
        "schedulerName": "default-scheduler",
        "serviceAccountName": "llm",
        "imagePullSecrets": [{"name": "pull"}],
        "labels": {"team": "ml"},
        "annotations": {"owner": "ml"},
        "env": [
            {"name": "PLAIN", "value": "plain"},
            {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "extra", "key": "word"}}},
        ],
        "envFrom": [{"prefix": "MAP_", "configMapRef": {"name": "extra"}}],
        "volumes": [
            {"name": "secret", "secret": {"secretName": "extra", "items": [{"key": "word", "path": "a/word"}]}},
            {"name": "map", "configMap": {"name": "extra"}},
        ],
        "volumeMounts": [
            {"name": "secret", "mountPath": "/etc/pool/secret"},
            {"name": "map", "mountPath": "/etc/pool/word", "subPath": "word"},
        ],
        "podSecurityContext": {
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "fsGroup": 10001,
            "fsGroupChangePolicy": "Always",
            "supplementalGroups": [10002],
        },
        "containerSecurityContext": {"readOnlyRootFilesystem": True},
        "terminationGracePeriodSeconds": 60,
    }


def gateway() -> dict[str, Any]:
    worker = shaped()
    return {
        "resources": {"requests": {"cpu": "60m", "memory": "128Mi"}, "limits": {"memory": "512Mi"}},
        **{
            field: worker[field]
            for field in ("nodeSelector", "tolerations", "priorityClassName", "labels", "annotations")
        },
        "affinity": {"nodeAffinity": worker["affinity"]["nodeAffinity"]},
        "topologySpreadConstraints": [
            {"topologyKey": "kubernetes.io/hostname", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway"}
        ],
    }


@pytest.fixture
def named_objects(story: Story) -> Iterator[None]:
    """What the pool names in its namespace and in the cluster."""
    runtime = {
        "apiVersion": "node.k8s.io/v1",
        "kind": "RuntimeClass",
        "metadata": {"name": "e2e-shaped"},
        "handler": "runc",
    }
    priority = {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": "e2e-shaped"},
        "value": 10,
    }
    for item in (runtime, priority):
        story.kubectl("apply", "-f", "-", stdin=json.dumps(item))
    story.kubectl("create", "serviceaccount", "llm")
    story.kubectl("create", "secret", "generic", "pull", "--from-literal=a=b")
    story.kubectl("create", "secret", "generic", "extra", "--from-literal=word=secret")
    story.kubectl("create", "configmap", "extra", "--from-literal=word=map")
    yield
    story.kubectl("delete", "runtimeclass/e2e-shaped", "priorityclass/e2e-shaped", "--ignore-not-found")


def test_a_pool_that_uses_every_field_at_once_serves_where_it_may(
    story: Story, given: Given, when: When, then: Then, nodes_of_the_team: list[str], named_objects: None
) -> None:
    pool = given.a_pool("shaped", replicas=3, zones=None, worker=shaped(), gateway=gateway())
    then.every_worker_answers(pool)
    # zone c has no node with the label, and the taint of zone a is tolerated
    assert {pod["spec"]["nodeName"] for pod in pool.workers()} == set(nodes_of_the_team)
    gateways = [
        pod for pod in pool.children("pods") if pod["metadata"]["labels"].get("slicewise.dev/role") == "gateway"
    ]
    assert {pod["spec"]["nodeName"] for pod in gateways} <= set(nodes_of_the_team)
    for pod in pool.workers():
        spec = pod["spec"]
        assert (spec["runtimeClassName"], spec["priority"], spec["serviceAccountName"]) == ("e2e-shaped", 10, "llm")
        assert (pod["metadata"]["labels"]["team"], pod["metadata"]["annotations"]["owner"]) == ("ml", "ml")
        assert spec["terminationGracePeriodSeconds"] == 60
    name = pool.workers()[0]["metadata"]["name"]
    script = "import os; print(os.environ['PLAIN'], os.environ['SECRET'], os.environ['MAP_word'], os.getuid(), end=' ')"
    script += "; print(open('/etc/pool/secret/a/word').read(), open('/etc/pool/word').read())"

    def seen() -> None:  # again where `kubectl exec` ends well and has lost what was said
        said = story.kubectl("exec", name, "-c", "worker", "--", "python3", "-c", script)
        assert said.split() == ["plain", "secret", "map", "10001", "secret", "map"]

    eventually("the worker sees all of it", seen, within=10)

    # labels start no revision: Deployments get them at once, pods stay
    before = {pod["metadata"]["uid"] for pod in pool.workers()}
    when.edited(pool, worker={"labels": {"team": "llm"}})
    eventually("the Deployments have the label", lambda: _labelled(pool, "llm"), within=30)
    then.is_ready(pool)
    assert {pod["metadata"]["uid"] for pod in pool.workers()} == before


def _labelled(pool: Pool, team: str) -> None:
    workers = [item for item in pool.children("deployments") if "slicewise.dev/zone" in item["metadata"]["labels"]]
    assert workers
    assert {item["metadata"]["labels"].get("team") for item in workers} == {team}


@pytest.mark.parametrize(
    ("field", "step"),
    [
        ("runtimeClassName", "create RuntimeClass e2e-none, or change spec.worker.runtimeClassName"),
        (
            "serviceAccountName",
            "create ServiceAccount e2e-none in the namespace, or change spec.worker.serviceAccountName",
        ),
        ("priorityClassName", "create PriorityClass e2e-none, or change spec.worker.priorityClassName"),
    ],
)
def test_what_is_named_and_not_there_is_told_and_what_serves_goes_on(
    story: Story, given: Given, when: When, then: Then, field: str, step: str
) -> None:
    pool = given.a_pool("chat", replicas=1, zones={"names": ["a"]})
    before = {pod["metadata"]["uid"] for pod in pool.workers()}
    when.edited(pool, worker={field: "e2e-none"})
    then.says(pool, "WorkersReady", "False", "PodsForbidden", ["e2e-none", step])
    then.says(pool, "Stalled", "True", "PodsForbidden")
    assert {pod["metadata"]["uid"] for pod in pool.workers()} == before
    then.every_worker_answers(pool)
    when.edited(pool, worker=None)
    then.is_ready(pool)


def test_a_taint_that_nobody_tolerates_is_named_with_its_field(
    when: When, then: Then, nodes_of_the_team: list[str]
) -> None:
    wrong = {"tolerations": [{"key": "e2e.slicewise.dev/team", "value": "other"}]}
    pool = when.applied(pools.manifest("chat", replicas=1, zones={"names": ["a"]}, worker=wrong))
    words = ["the taint e2e.slicewise.dev/team=llm:NoSchedule", "spec.worker.tolerations", "matches no taint there"]
    then.says(pool, "CapacityAvailable", "False", "NotEnoughSlices", words)
    when.edited(pool, worker={"tolerations": [{"key": "e2e.slicewise.dev/team", "operator": "Exists"}]})
    then.is_ready(pool, within=150)
