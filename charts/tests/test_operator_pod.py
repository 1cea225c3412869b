"""The operator's pod: locked down, probed, configured by names that the operator reads, and apart from the workers."""

from __future__ import annotations

import pytest
from builders import make_observed, make_pool

from slicewise.api import labels
from slicewise.api.ports import (
    AGENT_PORT,
    DISPATCH_PORT,
    EDGE_METRICS_PORT,
    FETCH_PORT,
    JOBS_INTERNAL_PORT,
    STATS_PORT,
    WORKER_PORT,
)
from slicewise.manifests.shape import plain
from slicewise.pool.plan import plan_pool
from slicewise.settings import OperatorSettings

NOT_SET_BY_THE_CHART = {
    "leader_election",
    "lease_renew_seconds",
    "list_page_size",
    "kubeconfig",
    "server",
    "cost_look_seconds",
}
"""For running by hand and for tests; `extraEnv` still reaches them."""


def selects(selector, pod_labels):
    return selector.items() <= pod_labels.items()


def settings_from(rendered, monkeypatch):
    for name, value in rendered.environment.items():
        monkeypatch.setenv(name, value if value is not None else "from-the-pod")
    return OperatorSettings()


def test_the_pod_meets_pod_security_restricted(render):
    pod, container = render().operator["spec"], render().container
    security, own = pod["securityContext"], container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] == 65532
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert own["readOnlyRootFilesystem"] is True
    assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
    assert [set(volume) - {"name"} for volume in pod["volumes"]] == [{"emptyDir"}]


def test_every_probe_asks_the_operator_itself(render):
    container = render().container
    paths = {name: container[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert container["ports"] == [{"name": "http", "containerPort": 8080, "protocol": "TCP"}]


def test_every_variable_is_a_setting_and_every_setting_a_variable(render):
    set_here = {name.removeprefix("SLICEWISE_").lower() for name in render().environment}
    assert set_here == set(OperatorSettings.model_fields) - NOT_SET_BY_THE_CHART


def test_the_defaults_of_the_chart_are_those_of_the_operator(render, monkeypatch):
    settings = settings_from(render(), monkeypatch)
    own = {"namespace", "pod_name", "worker_defaults", "gateway_defaults", "pod_security_context"}
    defaults = OperatorSettings.model_construct()
    assert settings.model_dump(exclude=own) == defaults.model_dump(exclude=own)


def test_values_arrive_in_the_operator_as_they_were_written(render, monkeypatch):
    values = {
        "worker": {
            "image": {"repository": "here/worker", "digest": f"sha256:{'a' * 64}"},
            "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "8Gi"}},
            "allowPrivateSources": True,
            "allowCPU": True,
            "requestLog": False,
            "proxy": {"https": "http://proxy.example:3128", "noProxy": ".svc,10.0.0.0/8"},
        },
        "imagePullSecrets": [{"name": "one"}, {"name": "two"}],
        "watchNamespaces": ["team-a"],
        "leaderElection": {"leaseDurationSeconds": 60, "renewSeconds": 12.5, "retrySeconds": 3},
        "maxConcurrentPasses": 4,
        "resyncSeconds": 60,
        "logLevel": "debug",
        "logFormat": "text",
    }
    settings = settings_from(render(values), monkeypatch)
    assert settings.worker_image == f"here/worker@sha256:{'a' * 64}"
    assert plain(settings.worker_defaults.resources) == values["worker"]["resources"]
    assert settings.allow_private_sources is True
    assert settings.allow_cpu is True
    assert settings.request_log is False
    assert settings.worker_proxy.environment == {
        "HTTPS_PROXY": "http://proxy.example:3128",
        "HTTP_PROXY": "",
        "NO_PROXY": ".svc,10.0.0.0/8",
    }
    assert settings.image_pull_secrets == ("one", "two")
    assert settings.watch_namespaces == ("team-a",)
    assert (settings.lease_duration_seconds, settings.renew_seconds, settings.lease_retry_seconds) == (60, 12.5, 3)
    assert (settings.max_concurrent_passes, settings.resync_seconds) == (4, 60)
    assert (settings.log_level, settings.log_format) == ("debug", "text")


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        ({}, "slicewise-operator:0.1.0"),
        ({"repository": "here/op", "tag": "1.2"}, "here/op:1.2"),
        ({"tag": "1.2", "digest": f"sha256:{'b' * 64}"}, f"slicewise-operator@sha256:{'b' * 64}"),
    ],
    ids=["the chart's version", "a tag", "a digest wins"],
)
def test_the_image_is_digest_then_tag_then_version(render, image, reference):
    assert render({"image": image}).container["image"] == reference


def test_replicas_prefer_different_nodes_and_zones_but_may_share_one(render):
    spec = render().operator["spec"]
    assert "requiredDuringSchedulingIgnoredDuringExecution" not in spec["affinity"]["podAntiAffinity"]
    (term,) = spec["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    (spread,) = spec["topologySpreadConstraints"]
    assert term["podAffinityTerm"]["topologyKey"] == "kubernetes.io/hostname"
    assert (spread["topologyKey"], spread["whenUnsatisfiable"]) == (labels.ZONE_KEY, "ScheduleAnyway")
    alone = render({"spreadReplicas": False}).operator["spec"]
    assert not {"affinity", "topologySpreadConstraints"} & alone.keys()


def test_placement_of_the_user_takes_the_place_of_ours(render):
    spec = render(
        {
            "affinity": {"nodeAffinity": {}},
            "topologySpreadConstraints": [{"topologyKey": "rack"}],
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"operator": "Exists"}],
            "priorityClassName": "system-cluster-critical",
        }
    ).operator["spec"]
    assert spec["affinity"] == {"nodeAffinity": {}}
    assert spec["topologySpreadConstraints"] == [{"topologyKey": "rack"}]
    assert spec["nodeSelector"] == {"pool": "system"}
    assert spec["tolerations"] == [{"operator": "Exists"}]
    assert spec["priorityClassName"] == "system-cluster-critical"


def test_what_is_extra_is_added(render):
    rendered = render(
        {
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy"}],
            "extraVolumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "extraVolumeMounts": [{"name": "ca", "mountPath": "/ca"}],
            "podLabels": {"a": "b"},
            "podAnnotations": {"c": "d"},
        }
    )
    assert rendered.environment["HTTPS_PROXY"] == "http://proxy"
    assert [volume["name"] for volume in rendered.operator["spec"]["volumes"]] == ["tmp", "ca"]
    assert [mount["name"] for mount in rendered.container["volumeMounts"]] == ["tmp", "ca"]
    assert rendered.operator["metadata"]["labels"]["a"] == "b"
    assert rendered.operator["metadata"]["annotations"]["c"] == "d"


@pytest.mark.parametrize("kind", ["Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "ServiceMonitor"])
def test_every_selector_finds_the_operator_and_no_worker(render, kind):
    rendered = render({"prometheus": {"serviceMonitor": {"enabled": True}}})
    spec = rendered.one(kind)["spec"]
    selector = spec.get("podSelector") or spec["selector"]
    selector = selector.get("matchLabels", selector)
    worker = labels.common_labels("chat", "worker") | labels.worker_selector("chat")
    assert selects(selector, rendered.operator["metadata"]["labels"])
    assert not selects(selector, worker)


def test_the_budget_of_the_operator_never_blocks_a_drain(render):
    spec = render({"replicaCount": 1}).one("PodDisruptionBudget")["spec"]
    assert spec["maxUnavailable"] == 1
    assert spec["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_the_network_policy_lets_out_dns_the_api_server_workers_gateways_and_jobs(render):
    dns, server, workers, gateways, jobs = render().one("NetworkPolicy")["spec"]["egress"]
    assert {port["port"] for port in dns["ports"]} == {53, 5353}
    assert ({port["port"] for port in server["ports"]}, "to" in server) == ({443, 6443}, False)
    assert {port["port"] for port in workers["ports"]} == {WORKER_PORT, FETCH_PORT}
    assert {port["port"] for port in gateways["ports"]} == {STATS_PORT, AGENT_PORT, EDGE_METRICS_PORT}
    assert gateways["to"][0]["podSelector"]["matchLabels"] == {labels.LABEL_ROLE: labels.ROLE_GATEWAY}
    assert {port["port"] for port in jobs["ports"]} == {JOBS_INTERNAL_PORT, DISPATCH_PORT}
    (role,) = jobs["to"][0]["podSelector"]["matchExpressions"]
    assert role["values"] == [labels.ROLE_JOBS, labels.ROLE_DISPATCH]
    (peer,) = workers["to"]
    assert peer["podSelector"]["matchLabels"] == {labels.LABEL_ROLE: labels.ROLE_WORKER}
    assert peer["namespaceSelector"] == {}


def test_the_network_policy_can_be_drawn_closer(render):
    values = {
        "networkPolicy": {
            "apiServer": {"ports": [6443], "cidrs": ["10.0.0.1/32"]},
            "metricsFrom": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}],
            "extraEgress": [{"to": [{"ipBlock": {"cidr": "10.9.9.9/32"}}]}],
        },
        "watchNamespaces": ["team-a"],
    }
    spec = render(values).one("NetworkPolicy")["spec"]
    (ingress,) = spec["ingress"]
    _, server, workers, gateways, jobs, extra = spec["egress"]
    assert ingress["from"] == values["networkPolicy"]["metricsFrom"]
    assert server["to"] == [{"ipBlock": {"cidr": "10.0.0.1/32"}}]
    for pods in (workers, gateways, jobs):
        (rule,) = pods["to"][0]["namespaceSelector"]["matchExpressions"]
        assert (rule["operator"], rule["values"]) == ("In", ["team-a"])
    assert extra == values["networkPolicy"]["extraEgress"][0]


def test_gateways_are_scraped_by_their_labels(render):
    spec = render({"prometheus": {"gatewayMonitor": {"enabled": True}}}).one("PodMonitor")["spec"]
    assert spec["selector"]["matchLabels"] == {labels.LABEL_ROLE: labels.ROLE_GATEWAY}
    pod = gateway_pod()
    ports = {
        port["name"]
        for container in (*pod["initContainers"], *pod["containers"])
        for port in container.get("ports", ())
    }
    assert {endpoint["port"] for endpoint in spec["podMetricsEndpoints"]} == ports - {"http"}


def test_the_programs_of_jobs_are_scraped_by_their_labels_on_the_port_that_no_client_reaches(render):
    spec = render({"prometheus": {"jobsMonitor": {"enabled": True}}}).one("PodMonitor")["spec"]
    (role,) = spec["selector"]["matchExpressions"]
    assert (role["key"], role["values"]) == (labels.LABEL_ROLE, [labels.ROLE_JOBS, labels.ROLE_DISPATCH])
    (endpoint,) = spec["podMetricsEndpoints"]
    plan = plan_pool(make_pool(jobs={"databaseSecretRef": {"name": "db"}}), make_observed(), 0.0)
    found = {
        port["containerPort"]
        for item in plan.children or ()
        if item["kind"] == "Deployment" and item["metadata"]["name"] in {"chat-jobs", "chat-jobs-dispatch"}
        for container in item["spec"]["template"]["spec"]["containers"]
        for port in container.get("ports", ())
        if port["name"] == endpoint["port"]
    }
    assert found == {JOBS_INTERNAL_PORT, DISPATCH_PORT}


def gateway_pod():
    plan = plan_pool(make_pool(), make_observed(), 0.0)
    deployments = [item for item in plan.children or () if item["kind"] == "Deployment"]
    return next(item for item in deployments if item["metadata"]["name"] == "chat-gateway")["spec"]["template"]["spec"]


def test_workers_are_scraped_by_their_labels(render):
    spec = render({"prometheus": {"podMonitor": {"enabled": True}}}).one("PodMonitor")["spec"]
    roles = [labels.ROLE_WORKER, labels.ROLE_FALLBACK]
    assert spec["selector"] == {"matchExpressions": [{"key": labels.LABEL_ROLE, "operator": "In", "values": roles}]}
    assert spec["namespaceSelector"] == {"any": True}
    assert set(spec["podTargetLabels"]) == {labels.LABEL_POOL, labels.LABEL_ZONE, labels.LABEL_REVISION}
    assert spec["podMetricsEndpoints"][0] == {
        "port": "http",
        "path": "/metrics",
        "interval": "30s",
    }
