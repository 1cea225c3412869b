"""The CRD as a whole on a real API server: how it is installed, what it fills in, how it prints and scales."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from builders import pool_object
from servers.control_plane import REPOSITORY, ApiServer, wait_until
from servers.definitions import established

pytestmark = pytest.mark.apiserver

CRD_FILE = REPOSITORY / "crds" / "slicewise.dev_inferencepools.yaml"
CRD_LIMIT = 130_000
"""Bytes of JSON. Client-side `kubectl apply` stores the object once more in an annotation, and all annotations may take 262,144: half of
that leaves room for what others note there. Most of it are the rules' sentences, which name the field and what to write instead."""


def read(server: ApiServer, namespace: str, name: str = "chat") -> Any:
    return json.loads(server.kubectl("get", "ipool", name, "-n", namespace, "-o", "json").stdout)


def write_status(server: ApiServer, namespace: str, status: dict[str, Any], name: str = "chat") -> None:
    path = f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/{name}/status"
    code, answer = server.request("PATCH", path, {"status": status}, content_type="application/merge-patch+json")
    assert code == 200, answer


def ready(reason: str, message: str) -> dict[str, Any]:
    return {
        "type": "Ready",
        "status": "True",
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }


def test_the_crd_is_small_and_plain_kubectl_apply_takes_it_twice(api_server: ApiServer) -> None:
    assert len(json.dumps(yaml.safe_load(CRD_FILE.read_text()), separators=(",", ":"))) < CRD_LIMIT
    assert "unchanged" in api_server.kubectl("apply", "-f", str(CRD_FILE)).stdout
    crd = json.loads(api_server.kubectl("get", "crd", "inferencepools.slicewise.dev", "-o", "json").stdout)
    assert "kubectl.kubernetes.io/last-applied-configuration" in crd["metadata"]["annotations"]
    states = {item["type"]: item["status"] for item in crd["status"]["conditions"]}
    assert states["Established"] == "True"
    assert states.get("NonStructuralSchema", "False") == "False"


def test_server_side_apply_of_the_crd_works_beside_it(api_server: ApiServer) -> None:
    api_server.kubectl("apply", "--server-side", "--force-conflicts", "--field-manager=helm", "-f", str(CRD_FILE))


def test_a_new_pool_does_not_look_done(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace))
    assert read(api_server, namespace)["status"] == {"observedGeneration": -1}


def test_defaults_fill_leaves_only(api_server: ApiServer, namespace: str) -> None:
    pool = pool_object(namespace=namespace, engine={"contextTokens": 512}, zones={}, rollout={})
    api_server.kubectl("apply", "-f", "-", stdin=pool)
    spec = read(api_server, namespace)["spec"]
    assert spec["engine"] == {
        "contextTokens": 512,
        "parallelSequences": 4,
        "kvCacheType": "f16",
        "promptChunkTokens": 64,
        "maxQueue": 64,
    }
    assert spec["zones"] == {"topologyKey": "topology.kubernetes.io/zone"}
    assert spec["rollout"] == {"progressDeadline": "15m", "paused": False, "revisionHistoryLimit": 5}
    assert set(spec) == {"model", "slice", "engine", "zones", "rollout", "suspend"}


def test_unknown_fields_are_named_by_strict_kubectl(api_server: ApiServer, namespace: str) -> None:
    refused = api_server.kubectl(
        "apply", "-f", "-", stdin=pool_object(namespace=namespace, engine={"contextTokenz": 512}), check=False
    )
    assert 'unknown field "spec.engine.contextTokenz"' in refused.stderr


def test_kubectl_scale_writes_replicas_and_reads_the_status(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace, replicas=3))
    write_status(api_server, namespace, {"replicas": 2, "selector": "slicewise.dev/pool=chat"})
    api_server.kubectl("scale", "ipool/chat", "-n", namespace, "--replicas=5", "--current-replicas=3")
    path = f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/chat/scale"
    code, scale = api_server.request("GET", path)
    assert code == 200
    assert scale["spec"] == {"replicas": 5}
    assert scale["status"] == {"replicas": 2, "selector": "slicewise.dev/pool=chat"}


def test_an_autoscaler_writes_replicas_that_nobody_has_set(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace))
    path = f"/apis/slicewise.dev/v1alpha1/namespaces/{namespace}/inferencepools/chat/scale"
    code, answer = api_server.request(
        "PATCH", path, {"spec": {"replicas": 4}}, content_type="application/merge-patch+json"
    )
    assert code == 200, answer
    assert read(api_server, namespace)["spec"]["replicas"] == 4


def test_the_status_that_the_operator_writes_is_kept_whole(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace))
    status = full_status(namespace)
    write_status(api_server, namespace, status)
    assert read(api_server, namespace)["status"] == status


def test_the_columns_tell_the_state(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("apply", "-f", "-", stdin=pool_object(namespace=namespace))
    write_status(api_server, namespace, full_status(namespace))
    header, row = api_server.kubectl("get", "ipool", "-n", namespace).stdout.splitlines()
    assert header.split() == ["NAME", "MODEL", "REVISION", "DESIRED", "READY", "CANARY", "SLICE", "STATUS", "AGE"]
    assert row.split()[:-1] == [
        "chat",
        "chat-small",
        "6f9c4d00",
        "3",
        "2",
        "91bd0200",
        "nvidia.com/mig-1g.10gb",
        "WorkersNotReady",
    ]
    header, row = api_server.kubectl("get", "inference", "-n", namespace, "-o", "wide").stdout.splitlines()
    assert header.split()[-2:] == ["ENDPOINT", "MESSAGE"]
    assert row.endswith("2 of 3 workers serve")
    assert f"http://chat.{namespace}.svc" in row


def full_status(namespace: str) -> dict[str, Any]:
    return {
        "observedGeneration": 1,
        "conditions": [ready("WorkersNotReady", "2 of 3 workers serve")],
        "model": "chat-small",
        "endpoint": f"http://chat.{namespace}.svc",
        "desired": 3,
        "replicas": 3,
        "readyReplicas": 2,
        "selector": "slicewise.dev/pool=chat",
        "zones": [
            {"name": "", "desired": 1, "ready": 0, "floor": 1},
            {"name": "a", "desired": 2, "ready": 2, "floor": 1},
        ],
        "slice": {"resource": "nvidia.com/mig-1g.10gb", "memory": "9728Mi", "needed": "1312Mi"},
        "revisions": {"stable": "6f9c4d00", "canary": "91bd0200"},
        "rollout": {
            "phase": "Warming",
            "step": 0,
            "weight": 5,
            "target": "91bd0200",
            "zone": "a",
            "surge": True,
            "startedAt": "2026-01-01T00:00:00Z",
            "phaseSince": "2026-01-01T00:01:00Z",
            "abortReason": "ProgressDeadlineExceeded",
            "message": "waits",
        },
    }


def test_pools_can_be_selected_by_model_and_suspension(api_server: ApiServer, namespace: str) -> None:
    model = {**pool_object()["spec"]["model"], "name": "chat-small"}
    api_server.kubectl("apply", "-f", "-", stdin=pool_object("one", namespace, model=model))
    api_server.kubectl("apply", "-f", "-", stdin=pool_object("two", namespace, suspend=True))

    def named(selector: str) -> list[str]:
        return api_server.kubectl(
            "get", "ipool", "-n", namespace, f"--field-selector={selector}", "-o", "name"
        ).stdout.split()

    assert named("spec.model.name=chat-small") == ["inferencepool.slicewise.dev/one"]
    assert named("spec.suspend=true") == ["inferencepool.slicewise.dev/two"]


def test_a_foreign_kind_of_the_same_name_changes_nothing(fresh_server: ApiServer) -> None:
    # given: the Gateway API Inference Extension, which owns kind and plural in its own group, was there first
    fresh_server.kubectl("apply", "-f", "-", stdin=foreign_crd())
    fresh_server.kubectl("apply", "-f", str(CRD_FILE))
    for group in ("inference.networking.k8s.io", "slicewise.dev"):
        established(fresh_server, f"inferencepools.{group}")
    foreign = {
        "apiVersion": "inference.networking.k8s.io/v1",
        "kind": "InferencePool",
        "metadata": {"name": "chat", "namespace": "default"},
        "spec": {"targetPorts": [{"number": 8000}]},
    }
    wait_until(lambda: fresh_server.kubectl("get", "ipool", check=False).returncode == 0, 120, lambda: "discovery")
    # when: both kinds have an object of the same name
    fresh_server.kubectl("apply", "-f", "-", stdin=foreign)
    fresh_server.kubectl("apply", "-f", "-", stdin=pool_object())
    # then: the short name, the category and the qualified plural mean ours, and each keeps its own
    for name in ("ipool", "inferencepools.slicewise.dev", "inference"):
        listed = fresh_server.kubectl("get", name, "-n", "default", "-o", "name").stdout.split()
        assert listed == ["inferencepool.slicewise.dev/chat"]
    fresh_server.kubectl("delete", "ipool", "chat", "-n", "default")
    code, answer = fresh_server.request(
        "GET", "/apis/inference.networking.k8s.io/v1/namespaces/default/inferencepools/chat"
    )
    assert code == 200
    assert answer["spec"] == foreign["spec"]
    # and: our CRD reports no conflict of names
    crd = json.loads(fresh_server.kubectl("get", "crd", "inferencepools.slicewise.dev", "-o", "json").stdout)
    assert {item["type"]: item["status"] for item in crd["status"]["conditions"]}["NamesAccepted"] == "True"


def foreign_crd() -> dict[str, Any]:
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "inferencepools.inference.networking.k8s.io",
            # Groups below k8s.io are protected; without this the API server takes the kind for an impostor.
            "annotations": {"api-approved.kubernetes.io": "unapproved, test only"},
        },
        "spec": {
            "group": "inference.networking.k8s.io",
            "names": {
                "kind": "InferencePool",
                "plural": "inferencepools",
                "singular": "inferencepool",
                "shortNames": ["infpool"],
            },
            "scope": "Namespaced",
            "versions": [
                {
                    "name": "v1",
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "properties": {
                                "spec": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                                "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                            },
                        }
                    },
                }
            ],
        },
    }
