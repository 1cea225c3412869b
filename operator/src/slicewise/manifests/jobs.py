"""The children of a pool with `spec.jobs`: the API of jobs, their dispatchers, and how both are reached. Pure.

Both are plain Deployments whose pods are replaced one by one: all that they know is in the database. Before each of their pods runs
`slicewise-jobs migrate`, of the same image: several may run at a time, and a newer version of the tables only adds to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from slicewise.api.labels import (
    LABEL_ROLE,
    ROLE_DISPATCH,
    ROLE_JOBS,
    common_labels,
    dispatch_selector,
    gateway_selector,
    jobs_selector,
)
from slicewise.api.ports import DISPATCH_PORT, GATEWAY_JOBS_PORT, JOBS_INTERNAL_PORT, JOBS_PORT
from slicewise.api.v1alpha1 import InferencePool, JobsSpec
from slicewise.manifests.container import http_probe, locked_down, pod_security
from slicewise.manifests.disruption_budget import one_at_a_time
from slicewise.manifests.installation import Installation
from slicewise.manifests.jobs_access import build_jobs_access
from slicewise.manifests.jobs_settings import (
    DATABASE,
    DATABASE_SECONDS,
    DRAIN_SECONDS,
    RESULT_BYTES,
    api_environment,
    body_bytes,
    dispatch_environment,
    migrate_environment,
)
from slicewise.manifests.metadata import dispatch_name, jobs_gateway_name, jobs_name, object_meta
from slicewise.manifests.placement import spread_and_placed
from slicewise.manifests.shape import plain

_LEAVE_SECONDS: Final = 15
"""How long requests to the API that run may go on when it has to stop."""
_LEARN_SECONDS: Final = 10
"""How long an API that has to stop goes on serving, while gateways learn of it from DNS."""
_MARGIN_SECONDS: Final = 10
_API_MEMORY: Final = 512
"""MiB: bodies on their way take 64, answers with results some more."""
_DISPATCH_MEMORY: Final = 256
"""MiB, beside what its jobs take."""


@dataclass(frozen=True, slots=True)
class _Program:
    """One of the two Deployments."""

    command: str
    name: str
    role: str
    replicas: int
    selector: Mapping[str, str]
    environment: list[dict[str, Any]]
    ports: Mapping[str, int]
    """Name → number; `internal` has health and metrics."""
    memory: int
    """Limit in MiB, where the installation has none."""
    grace_seconds: int
    learn_seconds: int = 0


def build_jobs(pool: InferencePool, installation: Installation) -> list[dict[str, Any] | None]:
    """Return the children of jobs, in the order in which they are applied; none where the spec has no jobs."""
    jobs = pool.spec.jobs
    if jobs is None:
        return []
    programs = (_api(pool, jobs), _dispatch(pool, jobs))
    budgets = [one_at_a_time(pool, one.name, one.role, one.selector, one.replicas) for one in programs]
    return [
        *build_jobs_access(pool, installation),
        _api_service(pool),
        _gateway_service(pool),
        *budgets,
        *(_deployment(pool, jobs, installation, one) for one in programs),
    ]


def _api(pool: InferencePool, jobs: JobsSpec) -> _Program:
    name = pool.metadata.name
    return _Program(
        "api",
        jobs_name(name),
        ROLE_JOBS,
        jobs.replicas,
        jobs_selector(name),
        api_environment(pool, jobs),
        {"http": JOBS_PORT, "internal": JOBS_INTERNAL_PORT},
        _API_MEMORY,
        _LEARN_SECONDS + _LEAVE_SECONDS + DATABASE_SECONDS + _MARGIN_SECONDS,
        _LEARN_SECONDS,
    )


def _dispatch(pool: InferencePool, jobs: JobsSpec) -> _Program:
    name = pool.metadata.name
    # Body and result of each job, once as they came and once as they are sent on.
    of_jobs = jobs.slots * 2 * (body_bytes(pool) + RESULT_BYTES) >> 20
    return _Program(
        "dispatch",
        dispatch_name(name),
        ROLE_DISPATCH,
        jobs.dispatchers,
        dispatch_selector(name),
        dispatch_environment(pool, jobs),
        {"internal": DISPATCH_PORT},
        _DISPATCH_MEMORY + of_jobs,
        DRAIN_SECONDS + DATABASE_SECONDS + _MARGIN_SECONDS,
    )


def _api_service(pool: InferencePool) -> dict[str, Any]:
    """The headless Service by which gateways and dispatchers find the API's pods one by one."""
    name = pool.metadata.name
    ports = (("http", JOBS_PORT), ("internal", JOBS_INTERNAL_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, jobs_name(name), ROLE_JOBS),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": "None",
            "selector": jobs_selector(name),
            "ports": [
                {"name": kind, "port": port, "targetPort": port, "protocol": "TCP", "appProtocol": "http"}
                for kind, port in ports
            ],
        },
    }


def _gateway_service(pool: InferencePool) -> dict[str, Any]:
    """The Service by which dispatchers reach the gateway. Not the one for clients, which may be exposed: this port asks for no key."""
    port = {"port": GATEWAY_JOBS_PORT, "targetPort": GATEWAY_JOBS_PORT, "protocol": "TCP", "appProtocol": "http"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": object_meta(pool, jobs_gateway_name(pool.metadata.name), ROLE_JOBS),
        "spec": {
            "type": "ClusterIP",
            "selector": gateway_selector(pool.metadata.name),
            "ports": [{"name": "jobs", **port}],
        },
    }


def _deployment(pool: InferencePool, jobs: JobsSpec, installation: Installation, program: _Program) -> dict[str, Any]:
    shape = installation.jobs_shape
    labels = {
        **(shape.labels or {}),
        **common_labels(pool.metadata.name, program.role),
        LABEL_ROLE: program.role,
    }
    annotations = {**(shape.annotations or {}), "kubectl.kubernetes.io/default-container": program.command}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": object_meta(pool, program.name, program.role, {LABEL_ROLE: program.role}),
        "spec": {
            "replicas": program.replicas,
            "revisionHistoryLimit": 1,
            "selector": {"matchLabels": dict(program.selector)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {
                "metadata": {"labels": labels, "annotations": annotations},
                "spec": _pod(pool, jobs, installation, program),
            },
        },
    }


def _pod(pool: InferencePool, jobs: JobsSpec, installation: Installation, program: _Program) -> dict[str, Any]:
    migrate = _container(installation, program, "migrate", migrate_environment(jobs))
    main = _container(installation, program, program.command, program.environment)
    spec: dict[str, Any] = {
        "serviceAccountName": jobs_name(pool.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": program.grace_seconds,
        "securityContext": pod_security(installation.pod_security_context),
        **spread_and_placed(pool, installation.jobs_shape, program.selector),
        "initContainers": [migrate],
        "containers": [{**main, **_serving(program)}],
        "volumes": [
            # Optional: without it the pods start, and their program says what is missing.
            {
                "name": "database",
                "secret": {"secretName": jobs.database_secret_ref.name, "optional": True, "defaultMode": 0o440},
            },
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
        ],
    }
    if installation.image_pull_secrets:
        spec["imagePullSecrets"] = [{"name": name} for name in installation.image_pull_secrets]
    return spec


def _container(
    installation: Installation, program: _Program, command: str, environment: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "name": command,
        "image": installation.jobs_image,
        "args": ["slicewise-jobs", command],  # not `command`: the image's init process is in front
        "env": environment,
        "resources": _resources(installation, program),
        "securityContext": locked_down(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [
            {"name": "database", "mountPath": DATABASE, "readOnly": True},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - the pod's own emptyDir
        ],
    }


def _serving(program: _Program) -> dict[str, Any]:
    """What the container has that goes on: ports, probes, and the time for others to learn that it ends."""
    internal = program.ports["internal"]
    fields: dict[str, Any] = {
        "ports": [{"name": name, "containerPort": port, "protocol": "TCP"} for name, port in program.ports.items()],
        "readinessProbe": http_probe("/readyz", internal, period=2, failures=2),
        "livenessProbe": http_probe("/healthz", internal, period=10, failures=6),
    }
    if program.learn_seconds:
        fields["lifecycle"] = {"preStop": {"sleep": {"seconds": program.learn_seconds}}}
    return fields


def _resources(installation: Installation, program: _Program) -> dict[str, Any]:
    given = installation.jobs_shape.resources
    if given is not None:
        return plain(given)
    return {"requests": {"cpu": "100m", "memory": "96Mi"}, "limits": {"memory": f"{program.memory}Mi"}}
