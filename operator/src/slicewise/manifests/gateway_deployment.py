"""The Deployment of a pool's gateway: Envoy as a sidecar of the agent that writes its files. Pure.

What is rendered here is read by `slicewise-gateway`; a contract test parses it with its own settings.
"""

from __future__ import annotations

from typing import Any, Final

from slicewise.api.labels import (
    ANNOTATION_START,
    LABEL_COMPONENT,
    LABEL_POOL,
    LABEL_ROLE,
    ROLE_GATEWAY,
    common_labels,
    gateway_selector,
)
from slicewise.api.ports import AGENT_PORT
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.placement import PodPlacement, TopologySpread, Unsatisfiable
from slicewise.envoy import envoy_arguments
from slicewise.manifests.container import environment, from_field, http_probe, locked_down, pod_security
from slicewise.manifests.gateway_edge import SETTINGS_PREFIX, build_edge
from slicewise.manifests.gateway_wish import GatewayWish
from slicewise.manifests.metadata import gateway_name, object_meta
from slicewise.manifests.service import REVISION_COMPONENT
from slicewise.manifests.shape import LOST_NODE, plain, spread_over

SUCCESSOR_SECONDS: Final = 60
"""How long a gateway that was told to stop waits for another one to serve: a pool may have but one."""
DRAIN_DELAY_SECONDS: Final = 10
"""How long it goes on taking connections after that, while others learn of it."""
_MARGIN_SECONDS: Final = 15
_CONFIG, _KEYS = "/etc/slicewise/gateway", "/etc/slicewise/keys"
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


def drain_seconds(wish: GatewayWish) -> int:
    """Return how long requests that run may take to end: the longest that one may take at all, and a little."""
    return int(wish.model.timeouts.gateway) + 5


def build_gateway_deployment(pool: InferencePool, wish: GatewayWish) -> dict[str, Any]:
    """Return the Deployment. A pod is replaced by one that is ready before it goes; it goes when its requests are done."""
    name = pool.metadata.name
    shape = wish.installation.shape
    labels = {**(shape.labels or {}), **common_labels(name, "gateway"), LABEL_ROLE: ROLE_GATEWAY}
    annotations = {
        **(shape.annotations or {}),
        ANNOTATION_START: wish.start_version,
        "kubectl.kubernetes.io/default-container": "agent",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(pool, gateway_name(name), "gateway", {LABEL_ROLE: ROLE_GATEWAY}),
        "spec": {
            "replicas": wish.model.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": gateway_selector(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod(pool, wish)},
        },
    }


def _pod(pool: InferencePool, wish: GatewayWish) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": gateway_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": SUCCESSOR_SECONDS
        + DRAIN_DELAY_SECONDS
        + drain_seconds(wish)
        + _MARGIN_SECONDS,
        "securityContext": pod_security(wish.installation.pod_security_context),
        **_placement(pool, wish.installation.shape),
        "initContainers": [_seed(pool, wish), _envoy(wish), build_edge(pool, wish)],
        "containers": [_agent(pool, wish)],
        "volumes": _volumes(pool, wish),
    }
    if wish.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in wish.pull_secrets]
    return spec


def _placement(pool: InferencePool, shape: PodPlacement) -> dict[str, Any]:
    """Where the pod may run. Spread over zones first, then over nodes, unless it is said otherwise; a preference, for a cluster of
    one node runs them all."""
    key = pool.spec.zones.topology_key
    spread = shape.topology_spread_constraints or (_anywhere(key), _anywhere("kubernetes.io/hostname"))
    fields = {
        "topologySpreadConstraints": spread_over(spread, gateway_selector(pool.metadata.name)),
        "nodeSelector": dict(shape.node_selector or {}),
        "tolerations": [*map(dict, LOST_NODE), *map(plain, shape.tolerations or ())],
        "affinity": plain(shape.affinity) if shape.affinity else {},
        "priorityClassName": shape.priority_class_name,
    }
    return {name: value for name, value in fields.items() if value}


def _anywhere(key: str) -> TopologySpread:
    return TopologySpread(max_skew=1, topology_key=key, when_unsatisfiable=Unsatisfiable.SCHEDULE_ANYWAY)


def _seed(pool: InferencePool, wish: GatewayWish) -> dict[str, Any]:
    return {
        "name": "seed",
        "image": wish.installation.image,
        "args": ["slicewise-gateway", "seed"],  # not `command`: the image's init process is in front
        "env": _environment(pool, wish),
        "resources": dict(wish.installation.agent_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_files(wish), {"name": "config", "mountPath": _CONFIG, "readOnly": True}, *_keys(wish)],
    }


def _envoy(wish: GatewayWish) -> dict[str, Any]:
    """A sidecar: started before the agent, and ended by the kubelet after it."""
    ports = wish.model.ports
    return {
        "name": "envoy",
        "image": wish.installation.envoy_image or wish.installation.image,
        "restartPolicy": "Always",
        "args": ["envoy", *envoy_arguments(wish.model)],
        "ports": [
            {"name": "http", "containerPort": ports.http, "protocol": "TCP"},
            {"name": "stats", "containerPort": ports.stats, "protocol": "TCP"},
        ],
        "resources": wish.installation.envoy_resources,
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # Whether its event loop turns. Not whether it takes requests: one that drains must not be killed for it.
        "livenessProbe": http_probe("/healthz", ports.stats, period=10, failures=3),
        "volumeMounts": [{**_files(wish), "readOnly": True}],
    }


def _agent(pool: InferencePool, wish: GatewayWish) -> dict[str, Any]:
    return {
        "name": "agent",
        "image": wish.installation.image,
        "args": ["slicewise-gateway", "agent"],
        "env": _environment(pool, wish),
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "resources": dict(wish.installation.agent_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "readinessProbe": http_probe("/readyz", AGENT_PORT, period=2, failures=2),
        "livenessProbe": http_probe("/healthz", AGENT_PORT, period=10, failures=3),
        "volumeMounts": [_files(wish), *_keys(wish), {"name": "token", "mountPath": _ACCOUNT, "readOnly": True}],
    }


def _environment(pool: InferencePool, wish: GatewayWish) -> list[dict[str, Any]]:
    name = pool.metadata.name
    values = {
        "POOL": name,
        "NAMESPACE": pool.metadata.namespace,
        "CONFIG_MAP": gateway_name(name),
        "ENDPOINTS_SELECTOR": f"{LABEL_POOL}={name},{LABEL_COMPONENT}={REVISION_COMPONENT}",
        "MOUNTED": _CONFIG,
        "KEYS": _KEYS if wish.model.tenant_keys is not None else None,
        "DIRECTORY": wish.model.directory,
        "ENVOY_ADMIN": f"http://127.0.0.1:{wish.model.ports.admin}",
        "PORT": AGENT_PORT,
        "SUCCESSOR_SECONDS": SUCCESSOR_SECONDS,
        "DRAIN_DELAY_SECONDS": DRAIN_DELAY_SECONDS,
        "DRAIN_SECONDS": drain_seconds(wish),
    }
    return [*environment(values, SETTINGS_PREFIX), from_field(f"{SETTINGS_PREFIX}POD_NAME", "metadata.name")]


def _volumes(pool: InferencePool, wish: GatewayWish) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        # In memory, because the tenants' keys are among Envoy's files.
        {"name": "files", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "config", "configMap": {"name": gateway_name(pool.metadata.name), "defaultMode": 0o444}},
        {"name": "token", "projected": {"defaultMode": 0o440, "sources": _token()}},
    ]
    if wish.model.tenant_keys is not None:
        # Optional: without it the gateway runs and lets nobody in, and takes up the keys when they come.
        secret = {"secretName": wish.model.tenant_keys.secret, "optional": True, "defaultMode": 0o440}
        volumes.append({"name": "keys", "secret": secret})
    if wish.redis_secret is not None:
        # Optional too: without it nothing is kept, and all is served.
        secret = {"secretName": wish.redis_secret, "optional": True, "defaultMode": 0o440}
        volumes.append({"name": "redis", "secret": secret})
    return volumes


def _token() -> list[dict[str, Any]]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def _files(wish: GatewayWish) -> dict[str, Any]:
    return {"name": "files", "mountPath": wish.model.directory}


def _keys(wish: GatewayWish) -> list[dict[str, Any]]:
    return [] if wish.model.tenant_keys is None else [{"name": "keys", "mountPath": _KEYS, "readOnly": True}]
