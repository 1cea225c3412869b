"""What the operator renders into a gateway's pod is what `slicewise-gateway` reads: its environment, parsed by its own settings."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.api.ports import AGENT_PORT
from slicewise.pool.plan import plan_pool
from slicewise_gateway.agent.plan import parse_plan
from slicewise_gateway.edge.runtime import parse_runtime
from slicewise_gateway.settings import EdgeSettings, GatewaySettings

PREFIX = "SLICEWISE_GATEWAY_"


def rendered(**spec: Any) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the pod's spec and the ConfigMap's files."""
    plan = plan_pool(make_pool(**spec), make_observed(), 0.0)
    found = {(item["kind"], item["metadata"]["name"]): item for item in plan.children or ()}
    pod = found["Deployment", "chat-gateway"]["spec"]["template"]["spec"]
    return dict(pod), dict(found["ConfigMap", "chat-gateway"]["data"])


def agent(pod: dict[str, Any]) -> dict[str, Any]:
    (container,) = pod["containers"]
    return dict(container)


def read(container: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> GatewaySettings:
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item.get("value", "chat-gateway-0"))
    return GatewaySettings.read()


def test_the_agent_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    keyed = {"tenantKeysSecretRef": {"name": "keys"}, "limits": {"requestTimeout": "2m"}}
    pod, _ = rendered(gateway=keyed)
    settings = read(agent(pod), monkeypatch)
    assert (settings.pool, settings.namespace, settings.config_map) == ("chat", "default", "chat-gateway")
    assert settings.port == AGENT_PORT
    assert settings.keys is not None
    assert settings.drain_seconds == 125
    for container in (agent(pod), pod["initContainers"][0]):
        names = {item["name"].removeprefix(PREFIX).lower() for item in container["env"]}
        assert names <= {field.name for field in fields(GatewaySettings)}, "a typo would be ignored in silence"


def edge(pod: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> EdgeSettings:
    """Return the edge's settings, and make sure that none of them is a typo."""
    container = pod["initContainers"][2]
    names = {item["name"].removeprefix(PREFIX).lower() for item in container["env"]}
    assert names <= {field.name for field in fields(EdgeSettings)}
    for item in container["env"]:
        monkeypatch.setenv(item["name"], item["value"])
    return EdgeSettings.read()


def test_the_edge_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    cached = {"limits": {"requestTimeout": "30s"}, "responseCache": {"ttl": "5s", "redisSecretRef": {"name": "redis"}}}
    pod, files = rendered(gateway=cached)
    settings = edge(pod, monkeypatch)
    mounts = [item["mountPath"] for item in pod["initContainers"][2]["volumeMounts"]]
    assert settings.redis_url_file is not None
    assert {str(settings.redis_url_file.parent), str(settings.directory)} == set(mounts)
    assert (settings.pool, settings.namespace) == ("chat", "default")
    assert settings.metrics_port == pod["initContainers"][2]["ports"][0]["containerPort"]
    runtime = parse_runtime(files["rtds.json"])
    assert (runtime.hold_seconds, runtime.ttl_seconds, len(runtime.weights)) == (20, 5, 1)
    plan = parse_plan(files["agent.json"])
    assert plan.edge is not None
    assert (plan.edge.address, plan.edge.port) == ("127.0.0.1", settings.hold_port)
    (cluster,) = [item for item in json.loads(files["cds.json"])["resources"] if item["name"] == "edge"]
    ports = [
        level["lb_endpoints"][0]["endpoint"]["address"]["socket_address"]["port_value"]
        for level in cluster["load_assignment"]["endpoints"]
    ]
    assert ports == [settings.cache_port, int(settings.internal_url.rpartition(":")[2])]


def test_without_a_cache_there_is_no_redis_and_no_request_passes_the_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    pod, files = rendered()
    assert edge(pod, monkeypatch).redis_url_file is None
    assert '"cluster":"edge"' not in files["rds.json"]


def test_without_keys_none_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pod, _ = rendered()
    assert read(agent(pod), monkeypatch).keys is None


def test_every_path_that_a_program_reads_is_mounted(monkeypatch: pytest.MonkeyPatch) -> None:
    pod, _ = rendered(gateway={"tenantKeysSecretRef": {"name": "keys"}})
    settings = read(agent(pod), monkeypatch)
    mounts = {item["name"]: {each["mountPath"] for each in item["volumeMounts"]} for item in pod["initContainers"]}
    own = {item["mountPath"] for item in agent(pod)["volumeMounts"]}
    assert {str(settings.directory), str(settings.keys), str(settings.token_file.parent)} <= own
    assert {str(settings.directory), str(settings.keys), str(settings.mounted)} <= mounts["seed"]
    config = Path(pod["initContainers"][1]["args"][2])
    assert str(config.parent) in mounts["envoy"]
    assert settings.token_file.parent == settings.ca_file.parent


def test_the_agent_understands_what_it_is_to_do() -> None:
    _, files = rendered(gateway={"tenantKeysSecretRef": {"name": "keys"}})
    plan = parse_plan(files["agent.json"])
    (cluster,) = plan.clusters.values()
    assert plan.keys_secret == "keys"
    assert plan.edge is not None
    assert cluster.backends[0].service == f"chat-{cluster.revision}"
    assert json.loads(files["rtds.json"])["resources"][0]["layer"] == {
        f"slicewise.weight.rev-{cluster.revision}": 100,
        "slicewise.hold.seconds": 60,
    }
