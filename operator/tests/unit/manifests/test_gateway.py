"""The children of a pool that are its gateway, as Kubernetes objects."""

from __future__ import annotations

import json
from typing import Any

from builders import make_observed, make_pod, make_pool

from slicewise.api.ports import AGENT_PORT, EDGE_METRICS_PORT, STATS_PORT
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.manifests.installation import GatewayInstallation
from slicewise.manifests.metadata import zone_slug
from slicewise.pool.observed import ObservedPool
from slicewise.pool.plan import plan_pool

Object = dict[str, Any]
KEYED = {"tenantKeysSecretRef": {"name": "keys"}}


def children(observed: ObservedPool | None = None, **spec: Any) -> dict[tuple[str, str], Object]:
    plan = plan_pool(make_pool(**spec), observed or make_observed(), 0.0)
    return {(item["kind"], item["metadata"]["name"]): dict(item) for item in plan.children or ()}


def gateway(observed: ObservedPool | None = None, **spec: Any) -> Object:
    found: Object = children(observed, **spec)["Deployment", "chat-gateway"]["spec"]
    return found


def pod(observed: ObservedPool | None = None, **spec: Any) -> Object:
    found: Object = gateway(observed, **spec)["template"]["spec"]
    return found


def containers(spec: Object) -> dict[str, Object]:
    return {item["name"]: item for item in (*spec["initContainers"], *spec["containers"])}


def files(**spec: Any) -> dict[str, Any]:
    data = children(**spec)["ConfigMap", "chat-gateway"]["data"]
    return {name: json.loads(text) for name, text in data.items()}


def test_clients_reach_the_gateway_and_the_gateway_each_revision_through_a_service_of_its_own() -> None:
    found = children()
    endpoint = found["Service", "chat"]["spec"]
    labels = gateway()["template"]["metadata"]["labels"]
    assert endpoint["selector"].items() <= labels.items()
    envoy = containers(pod())["envoy"]
    assert endpoint["ports"][0]["targetPort"] in [port["containerPort"] for port in envoy["ports"]]
    (cluster,) = files()["agent.json"]["clusters"].values()
    (backend,) = cluster["backends"]
    service = found["Service", backend["service"]]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"]["slicewise.dev/revision"] == cluster["revision"]
    assert backend["port"] in [port["name"] for port in service["spec"]["ports"]]


def test_the_agent_finds_the_endpoints_of_revisions_by_their_labels_and_those_of_no_other_service() -> None:
    env = {item["name"]: item.get("value") for item in containers(pod())["agent"]["env"]}
    wanted = dict(part.split("=") for part in env["SLICEWISE_GATEWAY_ENDPOINTS_SELECTOR"].split(","))
    services = [item for (kind, _), item in children().items() if kind == "Service"]
    followed = [item["metadata"]["name"] for item in services if wanted.items() <= item["metadata"]["labels"].items()]
    assert len(services) == 3
    assert [name for name in followed if name.startswith("chat-")] == followed != []
    assert "chat-workers" not in followed


def test_no_pod_of_the_gateway_looks_like_a_worker_to_a_budget_a_service_or_a_policy() -> None:
    found = children(replicas=3, gateway={"replicas": 2})
    labels = gateway()["template"]["metadata"]["labels"]
    selecting = {
        (kind, name): (item["spec"].get("podSelector") or item["spec"]["selector"])
        for (kind, name), item in found.items()
        if kind in {"Service", "PodDisruptionBudget", "NetworkPolicy"}
    }
    mine = {
        key for key, selector in selecting.items() if selector.get("matchLabels", selector).items() <= labels.items()
    }
    assert mine == {("Service", "chat"), ("PodDisruptionBudget", "chat-gateway"), ("NetworkPolicy", "chat-gateway")}


def test_the_pod_meets_pod_security_restricted_and_only_the_agent_has_a_token() -> None:
    spec = pod(gateway=KEYED)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in containers(spec).values():
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "command" not in container
        assert container["resources"].get("requests") or container["name"] == "envoy"
    mounts = {name: {item["name"] for item in each["volumeMounts"]} for name, each in containers(spec).items()}
    assert {name for name, found in mounts.items() if "token" in found} == {"agent"}
    assert {name for name, found in mounts.items() if "keys" in found} == {"seed", "agent"}
    assert {item["name"] for item in spec["volumes"]} == set().union(*mounts.values())


def test_envoy_is_a_sidecar_that_reads_files_and_writes_none() -> None:
    spec = pod()
    seed, envoy, edge = spec["initContainers"]
    assert (seed["name"], envoy["name"], envoy["restartPolicy"]) == ("seed", "envoy", "Always")
    assert (edge["name"], edge["restartPolicy"]) == ("edge", "Always")
    assert "restartPolicy" not in seed
    assert [item.get("readOnly") for item in envoy["volumeMounts"]] == [True]
    assert "--disable-hot-restart" in envoy["args"]
    (folder,) = (item for item in spec["volumes"] if item["name"] == "files")
    assert folder["emptyDir"]["medium"] == "Memory"


def test_a_gateway_is_replaced_pod_by_pod_and_a_pod_may_finish_its_longest_request() -> None:
    spec = gateway(gateway={"limits": {"requestTimeout": "10m"}})
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    env = {item["name"]: item.get("value") for item in containers(spec["template"]["spec"])["agent"]["env"]}
    assert float(env["SLICEWISE_GATEWAY_DRAIN_SECONDS"]) > 600
    parts = ("SUCCESSOR", "DRAIN_LATE", "DRAIN")
    longest = sum(float(env[f"SLICEWISE_GATEWAY_{part}_SECONDS"]) for part in parts)
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] > longest


def test_a_single_gateway_has_no_budget_which_would_hold_up_every_drain() -> None:
    assert ("PodDisruptionBudget", "chat-gateway") not in children()
    budget = children(gateway={"replicas": 2})["PodDisruptionBudget", "chat-gateway"]
    assert budget["spec"]["maxUnavailable"] == 1


def test_limits_change_the_files_and_no_pod() -> None:
    limits = {"limits": {"maxBodyBytes": "4Ki", "requestTimeout": "91s", "perTenantRequestsPerMinute": 60}}
    before, after = gateway(gateway={"limits": {"requestTimeout": "91s"}}), gateway(gateway=limits)
    assert before == after
    assert '"max_request_bytes": 4096' in json.dumps(files(gateway=limits)["rds.json"])
    assert '"max_tokens": 60' in json.dumps(files(gateway=limits)["lds.json"])


def test_pages_of_other_origins_are_let_in_without_a_new_pod() -> None:
    cors = {"cors": {"allowOrigins": ["https://app.example.com"], "maxAge": "1m"}}
    assert gateway(gateway=cors) == gateway(gateway={})
    assert '"exact": "https://app.example.com"' in json.dumps(files(gateway=cors)["rds.json"])


def test_what_only_a_new_pod_can_take_in_changes_the_pod() -> None:
    templates = [
        gateway(),
        gateway(gateway=KEYED),
        gateway(gateway={"tenantKeysSecretRef": {"name": "others"}}),
        gateway(rollout={"canary": {"p95": "600ms"}}),
    ]
    marks = [item["template"]["metadata"]["annotations"]["slicewise.dev/gateway-start"] for item in templates]
    assert len(set(marks)) == len(marks)
    edges = files(rollout={"canary": {"p95": "613ms"}})["bootstrap.json"]["stats_config"]
    assert 613 in edges["histogram_bucket_settings"][0]["buckets"]


def test_a_missing_secret_does_not_keep_the_pod_from_starting() -> None:
    (keys,) = (item for item in pod(gateway=KEYED)["volumes"] if item["name"] == "keys")
    assert keys["secret"] == {"secretName": "keys", "optional": True, "defaultMode": 0o440}


def test_requests_wait_for_workers_only_where_the_pool_is_to_have_some() -> None:
    assert files(replicas=3)["agent.json"]["edge"] == {"address": "127.0.0.1", "port": 8081}
    for spec in ({"replicas": 0}, {"suspend": True}):
        assert files(**spec)["agent.json"]["edge"] is None
        assert pod(**spec) == pod(replicas=3), "and no pod is replaced for it"
        assert files(**spec)["lds.json"]["resources"][0] == files(replicas=3)["lds.json"]["resources"][0]


def test_the_installation_says_image_size_place_and_collector() -> None:
    here = GatewayInstallation(
        image="here/gateway:1",
        envoy_image="here/envoy:1",
        shape=PodPlacement.model_validate(
            {
                "resources": {"requests": {"cpu": "2500m"}, "limits": {"memory": "1Gi"}},
                "nodeSelector": {"role": "edge"},
            }
        ),
        otlp="collector.tracing:4317",
    )
    observed = make_observed(gateway=here, image_pull_secrets=("pull",))
    spec = pod(observed)
    images = {name: item["image"] for name, item in containers(spec).items()}
    assert images == {
        "seed": "here/gateway:1",
        "envoy": "here/envoy:1",
        "edge": "here/gateway:1",
        "agent": "here/gateway:1",
    }
    envoy = containers(spec)["envoy"]
    assert envoy["args"][envoy["args"].index("--concurrency") + 1] == "2"
    assert spec["nodeSelector"] == {"role": "edge"}
    assert spec["imagePullSecrets"] == [{"name": "pull"}]
    data = children(observed)["ConfigMap", "chat-gateway"]["data"]
    assert str(int(0.8 * 2**30)) in data["bootstrap.json"]
    assert "collector.tracing" in data["cds.json"]
    policy = children(observed)["NetworkPolicy", "chat-gateway"]["spec"]
    assert {"port": 4317, "protocol": "TCP"} in [port for rule in policy["egress"] for port in rule["ports"]]


def test_rights_are_one_role_of_the_installation_in_the_pools_namespace_for_its_own_account() -> None:
    found = children(make_observed(gateway=GatewayInstallation(role="second-gateway")))
    binding = found["RoleBinding", "chat-second-gateway"]
    assert binding["roleRef"] == {
        "apiGroup": "rbac.authorization.k8s.io",
        "kind": "ClusterRole",
        "name": "second-gateway",
    }
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "chat-gateway", "namespace": "default"}]
    assert found["ServiceAccount", "chat-gateway"]["automountServiceAccountToken"] is False


def test_workers_are_reached_from_their_gateway_the_operator_and_who_reads_metrics() -> None:
    prometheus = {"namespaceSelector": {"matchLabels": {"team": "monitoring"}}}
    found = children(make_observed(gateway=GatewayInstallation(metrics_from=(prometheus,))))
    requests = found["NetworkPolicy", "chat-worker"]["spec"]["ingress"][0]
    gateways, operator, scraper = requests["from"]
    assert gateways["podSelector"]["matchLabels"].items() <= gateway()["template"]["metadata"]["labels"].items()
    assert "slicewise-system" in json.dumps(operator)
    assert scraper == prometheus
    clients, numbers = found["NetworkPolicy", "chat-gateway"]["spec"]["ingress"]
    assert "from" not in clients
    assert {port["port"] for port in numbers["ports"]} == {STATS_PORT, AGENT_PORT, EDGE_METRICS_PORT}
    assert prometheus in numbers["from"]


def test_a_zone_that_is_called_gateway_has_a_budget_of_another_name() -> None:
    assert zone_slug("gateway") != "gateway"


def test_the_shares_of_both_revisions_are_in_the_files() -> None:
    first = plan_pool(make_pool(replicas=2), make_observed(), 0.0)
    stable = first.status["revisions"]["stable"]
    status = {
        **first.status,
        "rollout": {"phase": "Promoting", "target": "bbbb2222", "zone": "a"},
    }
    pods = (make_pod("old", stable, "a"), make_pod("new", "bbbb2222", "b"))
    found = files_of(make_observed(status=status, pods=pods, deployments=()))
    assert set(found["agent.json"]["clusters"]) == {f"rev-{stable}", "rev-bbbb2222"}
    layer = found["rtds.json"]["resources"][0]["layer"]
    weights = {name for name in layer if name.startswith("slicewise.weight.")}
    assert weights == {f"slicewise.weight.rev-{stable}", "slicewise.weight.rev-bbbb2222"}
    assert sum(layer[name] for name in weights) == 100


def files_of(observed: ObservedPool) -> dict[str, Any]:
    data = children(observed, replicas=2)["ConfigMap", "chat-gateway"]["data"]
    return {name: json.loads(text) for name, text in data.items()}


def test_a_lost_node_gives_up_its_gateway_as_soon_as_its_workers() -> None:
    lost = [item for item in pod()["tolerations"] if item["effect"] == "NoExecute"]
    assert {item["key"] for item in lost} == {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"}
    assert {item["tolerationSeconds"] for item in lost} == {30}


def test_an_envoy_that_hangs_is_restarted_and_one_that_drains_is_not() -> None:
    probe = containers(pod())["envoy"]["livenessProbe"]["httpGet"]
    assert (probe["path"], probe["port"]) == ("/healthz", STATS_PORT)
    stats = next(item for item in files()["lds.json"]["resources"] if item["name"] == "stats")
    assert '"direct_response": {"status": 200}' in json.dumps(stats)


def test_a_gateway_reaches_names_everywhere_and_no_metadata_service_by_another_port() -> None:
    egress = children()["NetworkPolicy", "chat-gateway"]["spec"]["egress"]
    anywhere = [rule for rule in egress if "to" not in rule]
    assert [{port["port"] for port in rule["ports"]} for rule in anywhere] == [{53, 5353}]
    blocks = [peer["ipBlock"] for rule in egress for peer in rule.get("to", ()) if "ipBlock" in peer]
    assert blocks
    assert all("169.254.0.0/16" in block["except"] for block in blocks if ":" not in block["cidr"])


def test_a_gateway_reaches_the_api_server_where_the_installation_says_it_is() -> None:
    here = make_observed(gateway=GatewayInstallation(api_server_cidrs=("192.0.2.0/24",), api_server_ports=(6443,)))
    egress = children(here)["NetworkPolicy", "chat-gateway"]["spec"]["egress"]
    (rule,) = (rule for rule in egress if {"port": 6443, "protocol": "TCP"} in rule["ports"])
    assert rule["to"] == [{"ipBlock": {"cidr": "192.0.2.0/24"}}]
