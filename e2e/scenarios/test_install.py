"""The chart: a fresh installation, and an uninstallation that takes no pool along."""

from __future__ import annotations

import json
from functools import partial

from e2e.support import pool as pools
from e2e.support.api import Api
from e2e.support.installation import NAMESPACE, Installation
from e2e.support.polling import eventually
from e2e.support.programs import ROOT, kubectl, run
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

CRD = "inferencepools.slicewise.dev"


def test_helm_install_on_a_cluster_without_anything_is_done_when_it_says_so(cluster: Api) -> None:
    installation = Installation(cluster)
    installation.uninstall()
    kubectl("delete", "crd", CRD, "--ignore-not-found")
    kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")

    told = installation.install()
    # --wait has waited: nothing is to be waited for here.
    pods = installation.pods()
    assert len(pods) == 2
    assert all(status["ready"] for pod in pods for status in pod["status"]["containerStatuses"])
    kubectl("apply", "--dry-run=server", "-f", "-", stdin=first_pool_of(told))
    found = cluster.get("customresourcedefinitions", CRD)
    assert found is not None
    assert [item["status"] for item in found["status"]["conditions"] if item["type"] == "Established"] == ["True"]
    kubectl("apply", "--dry-run=server", "-f", ROOT / "docs/examples/chat.yaml")
    assert "shortNames" not in json.dumps(found["spec"]["names"]) or "ipool" in found["spec"]["names"]["shortNames"]
    eventually("one of the replicas leads", installation.leader, within=20)


def first_pool_of(notes: str) -> str:
    """Return the pool that Helm's notes tell the user to apply, with weights named in it as a user would."""
    pool = notes.split("<<'EOF'", 1)[1].split("\n", 1)[1].split("EOF", 1)[0]
    return pool.replace("ORG/REPOSITORY@COMMIT/FILE", f"org/repository@{'0' * 40}/file")


def test_the_operator_is_restricted_and_so_are_its_rights(cluster: Api, installed: Installation) -> None:
    labels = ["pod-security.kubernetes.io/enforce=restricted", "--dry-run=server", "--overwrite"]
    told = run("kubectl", "label", "namespace", NAMESPACE, *labels)
    assert "would violate" not in told
    subject = f"--as=system:serviceaccount:{NAMESPACE}:slicewise-operator"
    secrets = [(verb, "secrets") for verb in ("get", "list", "watch", "create", "patch", "update", "delete")]
    for verb, what in (*secrets, ("update", CRD), ("delete", "nodes"), ("delete", "persistentvolumeclaims")):
        assert kubectl("auth", "can-i", verb, what, subject, check=False).strip() == "no", f"it may {verb} {what}"


def test_helm_uninstall_leaves_pools_serving_and_a_new_installation_takes_them_up(
    story: Story, installed: Installation, when: When, then: Then
) -> None:
    pool = when.applied(pools.manifest("chat"))
    then.is_ready(pool)
    before = {pod["metadata"]["uid"] for pod in pool.workers()}
    story.undo += [partial(installed.has_pods, 2), installed.install]
    installed.uninstall()
    assert story.api.get("customresourcedefinitions", CRD) is not None
    then.workers_stay(pool, seconds=5)
    then.the_endpoint_answers(pool)
    installed.install()
    installed.has_pods(2)
    when.kubectl("scale", "ipool/chat", "--replicas=4")
    then.is_ready(pool)
    assert before <= {pod["metadata"]["uid"] for pod in pool.workers()}
