"""Configures a pool's gateway: a model of it in, Envoy's configuration out, as plain dicts. Pure; JSON only.

Envoy reads every part from a file of its own. `config.py` puts them together; the agent in the gateway's pod writes them. A
user's string is only ever a value in a dict, never a part of a text.
"""

from __future__ import annotations

from slicewise.envoy.bootstrap import envoy_arguments
from slicewise.envoy.config import GatewayConfig, render_gateway
from slicewise.envoy.model import (
    MAX_BODY_BYTES,
    MAX_CONNECTIONS,
    MAX_REQUEST_SECONDS,
    Backend,
    Cors,
    EdgeEndpoint,
    GatewayModel,
    Jobs,
    Ports,
    ResponseCache,
    RevisionRoute,
    TenantKeys,
    TenantShare,
    Timeouts,
)
from slicewise.envoy.overload import CONNECTION_BYTES

__all__ = [
    "CONNECTION_BYTES",
    "MAX_BODY_BYTES",
    "MAX_CONNECTIONS",
    "MAX_REQUEST_SECONDS",
    "Backend",
    "Cors",
    "EdgeEndpoint",
    "GatewayConfig",
    "GatewayModel",
    "Jobs",
    "Ports",
    "ResponseCache",
    "RevisionRoute",
    "TenantKeys",
    "TenantShare",
    "Timeouts",
    "envoy_arguments",
    "render_gateway",
]
