"""What every container of ours has alike, in workers and in gateways: no privileges, settings by environment, probes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from slicewise.api.v1alpha1.worker import PodSecurity

WORKER_UID: Final = 65532
POD_SECURITY: Final[Mapping[str, Any]] = {
    "runAsUser": WORKER_UID,
    "runAsGroup": WORKER_UID,
    "fsGroup": WORKER_UID,
    "seccompProfile": {"type": "RuntimeDefault"},
}
"""Security context of a pod, where the installation does not say otherwise."""


def pod_security(installation: Mapping[str, Any], pool: PodSecurity | None = None) -> dict[str, Any]:
    """Return the security context of a pod: what the installation says (without users and groups, where the cluster gives them,
    as on OpenShift), the pool's fields over it, and never root."""
    chosen = pool.model_dump(mode="json", by_alias=True, exclude_none=True) if pool is not None else {}
    return {"fsGroupChangePolicy": "OnRootMismatch", **installation, **chosen, "runAsNonRoot": True}


def locked_down() -> dict[str, Any]:
    """Return the security context of a container that may do nothing but compute, listen and write to its mounts."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def environment(values: Mapping[str, object], prefix: str) -> list[dict[str, Any]]:
    """Return a program's settings as environment variables that begin with `prefix`; those that are None are left out."""
    given = {name: str(value) for name, value in values.items() if value is not None}
    # The kubelet takes $(NAME) for the value of another variable, and $$ for one $.
    return [{"name": f"{prefix}{name}", "value": value.replace("$", "$$")} for name, value in given.items()]


def from_field(name: str, path: str) -> dict[str, Any]:
    """Return an environment variable that the kubelet fills from a field of the pod."""
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def http_probe(path: str, port: int | str, *, period: int, failures: int) -> dict[str, Any]:
    """Return a probe by HTTP. `port`: number or name; `period`: seconds; `failures`: in a row, before it counts."""
    return {
        "httpGet": {"path": path, "port": port, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
