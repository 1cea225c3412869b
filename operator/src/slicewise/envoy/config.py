"""All files of one gateway, and what the agent is to do besides writing them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from slicewise.envoy.bootstrap import BOOTSTRAP_FILE, build_bootstrap
from slicewise.envoy.clusters import build_cds
from slicewise.envoy.discovery import Json, canonical, digest
from slicewise.envoy.listener import build_lds
from slicewise.envoy.model import Backend, GatewayModel, cluster_name
from slicewise.envoy.routes import build_internal_rds, build_jobs_rds, build_rds, build_rtds
from slicewise.envoy.shares import SHARES_FILE, build_shares
from slicewise.envoy.tenants import KEYS_FILE, build_keys

AGENT_FILE: Final = "agent.json"


@dataclass(frozen=True, slots=True)
class GatewayConfig:
    """The `data` of the gateway's ConfigMap: file name to JSON text. Holds no secret."""

    version: str
    """Name of the content that can change while Envoy runs; the agent reports it once Envoy has all of it."""
    bootstrap_version: str
    """Name of the bootstrap's content: an annotation of the pod template, so that a new one brings new pods."""
    files: Mapping[str, str]


def render_gateway(model: GatewayModel) -> GatewayConfig:
    """Return the configuration of a gateway. Equal models give equal bytes."""
    parts: dict[str, Json] = {
        "cds.json": build_cds(model),
        "lds.json": build_lds(model),
        "rds.json": build_rds(model),
        "rtds.json": build_rtds(model),
    }
    if model.edge is not None:
        parts["rds-internal.json"] = build_internal_rds(model)
    if model.jobs is not None:
        parts["rds-jobs.json"] = build_jobs_rds(model, model.jobs)
    keys = build_keys(model)
    if keys is not None:
        parts[KEYS_FILE] = keys
    shares = build_shares(model)
    if shares is not None:
        parts[SHARES_FILE] = shares
    agent = _agent(model)
    files = {name: canonical(part) for name, part in parts.items()}
    version = digest(canonical([files, agent]))
    files[AGENT_FILE] = canonical({"version": version, **agent})
    files[BOOTSTRAP_FILE] = canonical(build_bootstrap(model))
    return GatewayConfig(version, digest(files[BOOTSTRAP_FILE]), files)


def _backend(backend: Backend) -> Json:
    found: Json = {"service": backend.service, "port": backend.port, "priority": backend.priority}
    return {**found, "servedBy": backend.served_by} if backend.served_by else found


def _agent(model: GatewayModel) -> Json:
    """What the agent reads: which Services' endpoints make which cluster, and which Secret holds the keys."""
    clusters = {
        cluster_name(route.revision): {
            "revision": route.revision,
            "backends": [_backend(backend) for backend in route.backends],
        }
        for route in model.routes
    }
    return {
        "clusters": clusters,
        "edge": None if model.edge is None else {"address": model.edge.address, "port": model.edge.port},
        "keysSecret": None if model.tenant_keys is None else model.tenant_keys.secret,
    }
