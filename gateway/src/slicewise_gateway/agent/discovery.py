"""The frame around what Envoy reads from files. The operator's `gateway/discovery.py` writes the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


def canonical(value: object) -> str:
    """Return JSON that is equal for equal values, byte for byte."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def response(type_url: str, resources: Sequence[Json]) -> Json:
    """Return a discovery response. Its version is a hash of the resources, so equal content has an equal version."""
    named = [{"@type": type_url, **resource} for resource in resources]
    version = hashlib.sha256(canonical(named).encode()).hexdigest()[:12]
    return {"version_info": version, "type_url": type_url, "resources": named}


def version_of(text: str) -> str | None:
    """Return the version that a file's text names, None for what is no discovery response."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    version = found.get("version_info") if isinstance(found, dict) else None
    return version if isinstance(version, str) else None
