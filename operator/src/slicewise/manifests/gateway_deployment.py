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
from slicewise.envoy import envoy_arguments
from slicewise.manifests.container import environment, from_field, http_probe, locked_down, pod_security
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.gateway_edge import SETTINGS_PREFIX, build_edge
from slicewise.manifests.metadata import gateway_name, object_meta
from slicewise.manifests.placement import spread_and_placed
from slicewise.manifests.service import REVISION_COMPONENT

SUCCESSOR_SECONDS: Final = 60
"""How long a gateway that has to stop waits for another one to serve: a pool may have but one."""
DRAIN_DELAY_SECONDS: Final = 10
"""How long it goes on taking connections after that at least, while others learn of it."""
DRAIN_LATE_SECONDS: Final = 40
"""And at most, while new connections come: kube-proxy of a busy node learns of it late."""
_MARGIN_SECONDS: Final = 15
_CONFIG, _KEYS = "/etc/slicewise/gateway", "/etc/slicewise/keys"
_ACCOUNT: Final = "/var/run/secrets/kubernetes.io/serviceaccount"


def drain_seconds(desired: DesiredGateway) -> int:
    """Return how long requests that run may take to end: the longest that one may take at all, and a little."""
    return int(desired.model.timeouts.gateway) + 5


def build_gateway_deployment(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    """Return the Deployment. A pod is replaced by one that is ready before it goes; it goes when its requests are done."""
    name = pool.metadata.name
    shape = desired.installation.shape
    labels = {**(shape.labels or {}), **common_labels(name, "gateway"), LABEL_ROLE: ROLE_GATEWAY}
    annotations = {
        **(shape.annotations or {}),
        ANNOTATION_START: desired.start_version,
        "kubectl.kubernetes.io/default-container": "agent",
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(pool, gateway_name(name), "gateway", {LABEL_ROLE: ROLE_GATEWAY}),
        "spec": {
            "replicas": desired.model.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": gateway_selector(name)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": labels, "annotations": annotations}, "spec": _pod(pool, desired)},
        },
    }


def _pod(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    spec: dict[str, Any] = {
        "serviceAccountName": gateway_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": SUCCESSOR_SECONDS
        + DRAIN_LATE_SECONDS
        + drain_seconds(desired)
        + _MARGIN_SECONDS,
        "securityContext": pod_security(desired.installation.pod_security_context),
        **spread_and_placed(pool, desired.installation.shape, gateway_selector(pool.metadata.name)),
        "initContainers": [_seed(pool, desired), _envoy(desired), build_edge(pool, desired)],
        "containers": [_agent(pool, desired)],
        "volumes": _volumes(pool, desired),
    }
    if desired.pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in desired.pull_secrets]
    return spec


def _seed(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    return {
        "name": "seed",
        "image": desired.installation.image,
        "args": ["slicewise-gateway", "seed"],  # not `command`: the image's init process is in front
        "env": _environment(pool, desired),
        "resources": dict(desired.installation.agent_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [_files(desired), {"name": "config", "mountPath": _CONFIG, "readOnly": True}, *_keys(desired)],
    }


def _envoy(desired: DesiredGateway) -> dict[str, Any]:
    """A sidecar: started before the agent, and ended by the kubelet after it."""
    ports = desired.model.ports
    return {
        "name": "envoy",
        "image": desired.installation.envoy_image or desired.installation.image,
        "restartPolicy": "Always",
        "args": ["envoy", *envoy_arguments(desired.model)],
        "ports": [
            {"name": "http", "containerPort": ports.http, "protocol": "TCP"},
            {"name": "stats", "containerPort": ports.stats, "protocol": "TCP"},
            # Not that for dispatchers: pods would be replaced where jobs are turned on or off, and Envoy needs it not said.
        ],
        "resources": desired.installation.envoy_resources,
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        # Whether its event loop turns. Not whether it takes requests: one that drains must not be killed for it.
        "livenessProbe": http_probe("/healthz", ports.stats, period=10, failures=3),
        "volumeMounts": [{**_files(desired), "readOnly": True}],
    }


def _agent(pool: InferencePool, desired: DesiredGateway) -> dict[str, Any]:
    return {
        "name": "agent",
        "image": desired.installation.image,
        "args": ["slicewise-gateway", "agent"],
        "env": _environment(pool, desired),
        "ports": [{"name": "agent", "containerPort": AGENT_PORT, "protocol": "TCP"}],
        "resources": dict(desired.installation.agent_resources),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "readinessProbe": http_probe("/readyz", AGENT_PORT, period=2, failures=2),
        "livenessProbe": http_probe("/healthz", AGENT_PORT, period=10, failures=3),
        "volumeMounts": [_files(desired), *_keys(desired), {"name": "token", "mountPath": _ACCOUNT, "readOnly": True}],
    }


def _environment(pool: InferencePool, desired: DesiredGateway) -> list[dict[str, Any]]:
    name = pool.metadata.name
    values = {
        "POOL": name,
        "NAMESPACE": pool.metadata.namespace,
        "CONFIG_MAP": gateway_name(name),
        "ENDPOINTS_SELECTOR": f"{LABEL_POOL}={name},{LABEL_COMPONENT}={REVISION_COMPONENT}",
        "MOUNTED": _CONFIG,
        "KEYS": _KEYS if desired.model.tenant_keys is not None else None,
        "DIRECTORY": desired.model.directory,
        "ENVOY_ADMIN": f"http://127.0.0.1:{desired.model.ports.admin}",
        "PORT": AGENT_PORT,
        "SUCCESSOR_SECONDS": SUCCESSOR_SECONDS,
        "DRAIN_DELAY_SECONDS": DRAIN_DELAY_SECONDS,
        "DRAIN_LATE_SECONDS": DRAIN_LATE_SECONDS,
        "DRAIN_SECONDS": drain_seconds(desired),
    }
    return [*environment(values, SETTINGS_PREFIX), from_field(f"{SETTINGS_PREFIX}POD_NAME", "metadata.name")]


def _volumes(pool: InferencePool, desired: DesiredGateway) -> list[dict[str, Any]]:
    volumes: list[dict[str, Any]] = [
        # In memory, because the tenants' keys are among Envoy's files.
        {"name": "files", "emptyDir": {"medium": "Memory", "sizeLimit": "16Mi"}},
        {"name": "config", "configMap": {"name": gateway_name(pool.metadata.name), "defaultMode": 0o444}},
        {"name": "token", "projected": {"defaultMode": 0o440, "sources": _token()}},
    ]
    if desired.model.tenant_keys is not None:
        # Optional: without it the gateway runs and rejects all clients, and takes up the keys when they come.
        secret = {"secretName": desired.model.tenant_keys.secret, "optional": True, "defaultMode": 0o440}
        volumes.append({"name": "keys", "secret": secret})
    if desired.redis_secret is not None:
        # Optional too: without it nothing is kept, and all is served.
        secret = {"secretName": desired.redis_secret, "optional": True, "defaultMode": 0o440}
        volumes.append({"name": "redis", "secret": secret})
    return volumes


def _token() -> list[dict[str, Any]]:
    return [
        {"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
    ]


def _files(desired: DesiredGateway) -> dict[str, Any]:
    return {"name": "files", "mountPath": desired.model.directory}


def _keys(desired: DesiredGateway) -> list[dict[str, Any]]:
    return [] if desired.model.tenant_keys is None else [{"name": "keys", "mountPath": _KEYS, "readOnly": True}]
