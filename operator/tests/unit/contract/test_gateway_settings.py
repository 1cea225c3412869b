"""What the operator renders into a gateway's pod is what `slicewise-gateway` reads: its environment, parsed by its own settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from builders import make_observed, make_pool

from slicewise.clients.gateways import AGENT_PORT
from slicewise.gateway import EdgeEndpoint, Ports, ResponseCache
from slicewise.pool.plan import plan_pool
from slicewise_gateway.agent.plan import AgentPlan
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
        monkeypatch.setenv(item["name"], item["value"])
    return GatewaySettings()  # type: ignore[call-arg]  # the environment gives the required ones


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
        assert names <= set(GatewaySettings.model_fields), "a typo would be ignored in silence"


def test_the_edge_reads_everything_that_is_rendered(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = {"redisSecretRef": {"name": "redis"}}
    pod, _ = rendered(gateway={"responseCache": cache, "limits": {"requestTimeout": "30s", "maxBodyBytes": "4Mi"}})
    edge = pod["initContainers"][2]
    for item in edge["env"]:
        monkeypatch.setenv(item["name"], item.get("value", "redis://redis:6379"))
    settings = EdgeSettings()  # type: ignore[call-arg]  # the environment gives the required ones
    assert (settings.pool, settings.namespace, settings.hold_seconds) == ("chat", "default", 20)
    assert settings.max_body_bytes == 4 << 20
    assert settings.redis_url is not None
    assert (settings.hold_port, settings.cache_port) == (EdgeEndpoint().port, ResponseCache().port)
    assert settings.internal_url.endswith(f":{Ports().internal}")
    assert settings.metrics_port == edge["ports"][0]["containerPort"]
    names = {item["name"].removeprefix(PREFIX).lower() for item in edge["env"]}
    assert names <= set(EdgeSettings.model_fields)


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
    plan = AgentPlan.model_validate_json(files["agent.json"])
    (cluster,) = plan.clusters.values()
    assert plan.keys_secret == "keys"
    assert plan.edge is not None
    assert plan.edge.port == EdgeEndpoint().port
    assert cluster.backends[0].service == f"chat-{cluster.revision}"
    assert json.loads(files["rtds.json"])["resources"][0]["layer"] == {f"slicewise.weight.rev-{cluster.revision}": 100}
