"""The frame around what Envoy reads from files: discovery responses with a version, and typed extensions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, Final

Json = dict[str, Any]

TYPE: Final = "type.googleapis.com"
CLUSTER: Final = f"{TYPE}/envoy.config.cluster.v3.Cluster"
LISTENER: Final = f"{TYPE}/envoy.config.listener.v3.Listener"
ROUTES: Final = f"{TYPE}/envoy.config.route.v3.RouteConfiguration"
RUNTIME: Final = f"{TYPE}/envoy.service.runtime.v3.Runtime"
EXTENSION: Final = f"{TYPE}/envoy.config.core.v3.TypedExtensionConfig"


def canonical(value: object) -> str:
    """Return JSON that is equal for equal values, byte for byte."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(text: str) -> str:
    """Return a short name of a text's content."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def response(type_url: str, resources: Sequence[Json]) -> Json:
    """Return a discovery response. Its version is a hash of the resources, so equal content has an equal version."""
    named = [{"@type": type_url, **resource} for resource in resources]
    return {"version_info": digest(canonical(named)), "type_url": type_url, "resources": named}


def typed(name: str, kind: str, **fields: Any) -> Json:
    """Return an extension: its name, and its configuration of the protobuf type `kind`."""
    return {"name": name, "typed_config": {"@type": f"{TYPE}/{kind}", **fields}}


def from_file(directory: str, name: str) -> Json:
    """Return the config source of a file. Envoy reads it again when something is renamed to that path."""
    return {"path_config_source": {"path": f"{directory}/{name}"}, "resource_api_version": "V3"}


def seconds(value: float) -> str:
    """Return a protobuf duration."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"
