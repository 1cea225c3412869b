"""What the chart says about the pods of workers and gateways, through the operator's settings into the pods."""

from __future__ import annotations

import pytest
from builders import make_observed, make_pool
from pydantic import ValidationError
from shape_cases import FULL_PLACEMENT, FULL_WORKER

from slicewise.api import labels
from slicewise.manifests.shape import plain
from slicewise.pool.plan import plan_pool
from slicewise.settings import OperatorSettings


def settings_from(rendered, monkeypatch):
    (container,) = [
        item
        for deployment in rendered.of_kind("Deployment")
        for item in deployment["spec"]["template"]["spec"]["containers"]
        if item["name"] == "operator"
    ]
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item.get("value", "from-the-pod"))
    return OperatorSettings()


EVERY_FIELD_OF_A_WORKER = {
    **{key: value for key, value in FULL_WORKER.items() if key != "imagePullSecrets"},
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
}


def test_how_pods_look_arrives_in_the_operator_field_by_field(render, monkeypatch):
    placement = {key: FULL_PLACEMENT[key] for key in ("nodeSelector", "tolerations", "affinity", "priorityClassName")}
    gateway = {"placement": placement, "resources": FULL_PLACEMENT["resources"], "labels": {"team": "ml"}}
    settings = settings_from(render({"worker": EVERY_FIELD_OF_A_WORKER, "gateway": gateway}), monkeypatch)
    default = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"}}
    assert plain(settings.worker_defaults) == EVERY_FIELD_OF_A_WORKER | {"resources": default}
    jobs = settings_from(render({"jobs": gateway}), monkeypatch).jobs_defaults
    assert plain(jobs) == placement | {"resources": FULL_PLACEMENT["resources"], "labels": {"team": "ml"}}
    assert plain(settings.jobs_defaults) == {}
    assert plain(settings.gateway_defaults) == placement | {"resources": default, "labels": {"team": "ml"}}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"affinity": {"nodeAfinity": {}}}, "affinity.nodeAfinity: no such field"),
        ({"env": [{"name": "SLICEWISE_X", "value": "1"}]}, "SLICEWISE_X"),
        ({"tolerations": [{"operator": "Exists"}]}, "key"),
        ({"resources": {"limits": {"nvidia.com/gpu": 1}}}, "the slice comes from spec.slice"),
        (
            {
                "topologySpreadConstraints": [
                    {"maxSkew": 1, "topologyKey": labels.ZONE_KEY, "whenUnsatisfiable": "DoNotSchedule"}
                ]
            },
            "zones' label",
        ),
    ],
)
def test_what_no_pool_may_write_the_operator_refuses_from_the_chart_too(render, monkeypatch, values, words):
    with pytest.raises(ValidationError, match=words):
        settings_from(render({"worker": values}), monkeypatch)


def test_the_image_of_jobs_arrives_in_what_pools_are_made_from(render, monkeypatch):
    assert settings_from(render(), monkeypatch).installation.jobs_image == "slicewise-jobs:0.1.0"
    digest = f"sha256:{'a' * 64}"
    given = {"jobs": {"image": {"repository": "here/jobs", "digest": digest}}}
    assert settings_from(render(given), monkeypatch).installation.jobs_image == f"here/jobs@{digest}"


def test_every_container_takes_its_resources_from_the_chart(render, monkeypatch):
    """A LimitRange or a quota may ask for anything of any container."""
    size = {"requests": {"cpu": "300m", "memory": "300Mi"}, "limits": {"cpu": "2", "memory": "3Gi"}}
    values = {
        "resources": size,
        "worker": {"resources": size, "fetchResources": size},
        "gateway": {"resources": size, "agentResources": size, "edgeResources": size},
        "redis": {"enabled": True, "resources": size},
        "mariadb": {"enabled": True, "passwordSecret": "mariadb-password", "resources": size},
    }
    rendered = render(values)
    owners = [*rendered.of_kind("Deployment"), *rendered.of_kind("StatefulSet")]
    pods = [item["spec"]["template"]["spec"] for item in owners]
    pods += planned_pods(settings_from(rendered, monkeypatch))
    containers = [item for pod in pods for item in [*pod.get("initContainers", ()), *pod["containers"]]]
    assert {item["name"] for item in containers} == {
        "operator",
        "redis",
        "mariadb",
        "fetch",
        "worker",
        "seed",
        "envoy",
        "agent",
        "edge",
    }
    for container in containers:
        resources = {
            side: {k: v for k, v in amounts.items() if "/" not in k} for side, amounts in container["resources"].items()
        }
        assert resources == size, container["name"]


def test_users_and_groups_that_the_cluster_gives_out_are_left_to_it(render, monkeypatch):
    """As on OpenShift: a user of our own would be refused there."""
    rendered = render({"podSecurityContext": {"runAsUser": None, "runAsGroup": None, "fsGroup": None}})
    pods = [rendered.operator["spec"], *planned_pods(settings_from(rendered, monkeypatch))]
    assert len(pods) == 3
    for pod in pods:
        assert not {"runAsUser", "runAsGroup", "fsGroup"} & pod["securityContext"].keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}


def planned_pods(settings):
    observed = make_observed(installation=settings.installation)
    plan = plan_pool(make_pool(replicas=1), observed, 0.0)
    deployments = {
        item["metadata"]["name"].rpartition("-")[2] == "gateway": item
        for item in plan.children
        if item["kind"] == "Deployment"
    }
    return [item["spec"]["template"]["spec"] for item in deployments.values()]
