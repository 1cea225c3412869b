"""What else is in the cluster: another API's kind of the same name, and namespaces that the operator may not touch."""

from __future__ import annotations

import json
from functools import partial

from e2e.support import pool as pools
from e2e.support.given import Given
from e2e.support.installation import NAMESPACE, Installation
from e2e.support.polling import eventually
from e2e.support.programs import kubectl
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

FOREIGN = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {
        "name": "inferencepools.inference.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
    },
    "spec": {
        "group": "inference.networking.k8s.io",
        "scope": "Namespaced",
        "names": {"kind": "InferencePool", "plural": "inferencepools", "shortNames": ["infpool"]},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


def test_a_kind_of_the_same_name_of_another_group_changes_nothing(
    story: Story, given: Given, when: When, then: Then
) -> None:
    name = FOREIGN["metadata"]["name"]  # type: ignore[index]  # a literal of many types
    story.undo.append(lambda: kubectl("delete", "crd", str(name), "--ignore-not-found"))
    kubectl("apply", "-f", "-", stdin=json.dumps(FOREIGN))
    theirs = {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": "chat"},
        "spec": {"targetPorts": [{"number": 8000}]},
    }
    eventually("theirs is taken", lambda: story.kubectl("apply", "-f", "-", stdin=json.dumps(theirs)), within=60)
    pool = given.a_pool("chat", replicas=1, zones=None)
    when.kubectl("delete", "infpool", "chat")
    then.is_ready(pool)
    then.the_endpoint_answers(pool)
    assert "AllWorkersReady" in when.kubectl("get", "ipool", "chat")


def test_a_namespace_that_the_operator_may_not_touch_is_told_and_costs_the_others_nothing(
    story: Story, installed: Installation, when: When, then: Then
) -> None:
    closed = f"{story.namespace}-closed"[:60]
    story.make_namespace(closed)
    story.undo += [partial(installed.has_pods, 2), installed.install]
    installed.install(f"watchNamespaces={json.dumps([story.namespace, closed])}")
    kubectl("-n", closed, "delete", "rolebinding", "slicewise-operator")
    installed.kill()
    kubectl("-n", closed, "apply", "-f", "-", stdin=json.dumps(pools.manifest("chat")))
    pool = when.applied(pools.manifest("chat", replicas=1, zones=None))
    then.is_ready(pool)
    then.the_endpoint_answers(pool)
    assert not story.api.all("pods", closed)

    def told() -> None:
        logs = "".join(story.api.log(NAMESPACE, pod["metadata"]["name"]) for pod in installed.pods())
        lines = [line for line in logs.splitlines() if closed in line and "forbidden" in line.lower()]
        assert lines, logs[-1500:]

    eventually("the operator's log names the namespace", told, within=30)


def test_a_namespace_with_a_pool_that_serves_is_gone_long_before_a_worker_would_have_to_end(
    story: Story, given: Given
) -> None:
    """A worker's grace period is an hour, and Kubernetes goes by it where nothing tells that the worker has ended."""
    given.a_pool("chat")
    kubectl("delete", "namespace", story.namespace, "--wait=false")
    # Left to itself, the namespace controller looks again after five minutes.
    eventually("the namespace is gone", lambda: _gone(story), within=120)
    story.make_namespace(story.namespace)


def _gone(story: Story) -> None:
    namespace = story.api.get("namespaces", story.namespace)
    assert namespace is None, (namespace.get("status") or {}).get("conditions")
