"""Cases of every bound in the schema: one spec just inside it, one just beyond. Made from the schema and from full specs."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders import DIGEST, pool_object
from pool_cases import HUB
from shape_cases import CPU, FULL_PLACEMENT, FULL_WORKER

_SPLIT = {"source": HUB.replace("q8", "q8-00001-of-00002"), "digests": [DIGEST, DIGEST.replace("0", "1")]}
FULL: tuple[dict[str, Any], ...] = (
    {
        "model": {
            "name": "chat",
            "aliases": ["chat-1"],
            "chat": True,
            "chatTemplate": "{{ messages[0].content }}",
            "source": HUB,
            "digest": DIGEST,
            "credentialsSecretRef": {"name": "hf"},
            "adapters": [{"name": "law", "source": HUB, "digest": DIGEST, "credentialsSecretRef": {"name": "law"}}],
        },
        "engine": {
            "contextTokens": 8192,
            "parallelSequences": 4,
            "kvCacheType": "q8_0",
            "promptChunkTokens": 64,
            "maxTokenGap": "200ms",
            "maxQueue": 64,
            "microBatchTokens": 32,
            "flashAttention": "Enabled",
            "threads": 2,
            "image": "registry.example.com/worker:1.2",
        },
        "slice": {"resource": "nvidia.com/mig-1g.10gb"},
        "worker": {**FULL_WORKER},
        "replicas": 3,
        "zones": {"topologyKey": "topology.kubernetes.io/zone", "names": ["a", "b", "c"], "minAvailable": 1},
        "cache": {"emptyDir": {"sizeLimit": "20Gi"}},
        "rollout": {
            "canary": {
                "steps": [{"weight": 5, "window": "60s"}],
                "p95": "600ms",
                "maxErrors": "1%",
                "confidence": "99%",
                "tolerance": 2,
                "minSamples": 60,
                "grow": True,
                "deadline": "60m",
                "onUndecided": "Hold",
                "rule": "Sequential",
                "compareWithStable": True,
            },
            "progressDeadline": "15m",
            "paused": False,
            "revisionHistoryLimit": 5,
        },
        "autoscaling": {
            "mode": "Advise",
            "minReplicas": 1,
            "maxReplicas": 1000,
            "targetRequestsPerWorker": 4,
            "idleAfter": "10m",
        },
        "cost": {"budget": {"perMonth": "300", "warnAt": "80%", "capReplicas": True}},
        "health": {
            "memoryPressure": "80%",
            "memoryPressureFor": "3s",
            "watchdogPeriod": "5s",
            "stallAfter": "30s",
        },
        "fallback": {
            "cpu": {
                **CPU,
                "replicas": 1,
                "warm": True,
                "nodeSelector": FULL_PLACEMENT["nodeSelector"],
                "tolerations": FULL_PLACEMENT["tolerations"],
                "model": {
                    "name": "chat",
                    "aliases": ["chat-1"],
                    "chat": True,
                    "chatTemplate": "{{ messages[0].content }}",
                    "source": HUB,
                    "digest": DIGEST,
                    "credentialsSecretRef": {"name": "hf"},
                },
            }
        },
        "gateway": {
            **FULL_PLACEMENT,
            "replicas": 1,
            "tenantKeysSecretRef": {"name": "keys"},
            "routing": "Conversation",
            "tenants": [{"name": "acme", "weight": 4, "priority": "Batch"}],
            "limits": {"maxBodyBytes": "1Mi", "requestTimeout": "90s", "perTenantRequestsPerMinute": 600},
            "responseCache": {"ttl": "60s", "redisSecretRef": {"name": "redis"}},
            "cors": {"allowOrigins": ["https://app.example.com"], "allowHeaders": ["*"], "maxAge": "10m"},
        },
        "jobs": {
            "databaseSecretRef": {"name": "jobs-db"},
            "replicas": 2,
            "dispatchers": 2,
            "slots": 8,
            "requestTimeout": "15m",
            "maxAttempts": 5,
            "keepFor": "24h",
            "maxBacklogJobs": 100_000,
            "maxBacklogBytes": "1Gi",
            "allowLoss": False,
        },
        "suspend": False,
    },
    {
        "model": _SPLIT,
        "fallback": {"cpu": {**CPU, "model": _SPLIT}},
        "slice": {"minMemory": "Auto"},
        "cache": {"persistentVolumeClaim": {"claimName": "weights"}},
    },
    {
        "slice": {"deviceClass": "gpu.nvidia.com"},
        "cache": {
            "persistentVolumeClaim": {
                "template": {"storageClassName": "fast", "accessModes": ["ReadWriteOnce"], "size": "20Gi"}
            }
        },
    },
    {"slice": {"cpu": {"cores": "1", "memory": "2Gi"}}},
)
"""Specs that are valid and between them write every field there is."""


@dataclass(frozen=True)
class BoundCase:
    """A bound of the schema: the spec just beyond it, and the one just inside where a value as such can be made."""

    rule: str
    inside: Mapping[str, Any] | None
    beyond: Mapping[str, Any]
    field: str
    api_says: str
    parser_says: str


def bound_cases(schema: Mapping[str, Any]) -> Iterator[BoundCase]:
    """Make the cases of every bound in the schema of `spec`."""
    for fields in FULL:
        spec = pool_object(**fields)["spec"]
        yield from _walk(schema, (), spec, spec)


def _walk(
    schema: Mapping[str, Any], path: tuple[str | int, ...], value: Any, spec: Mapping[str, Any]
) -> Iterator[BoundCase]:
    field = _text("spec", path)
    for rule, inside, beyond, api_says, parser_says in _bounds(schema, value) if path else ():
        good = None if inside is _NOTHING else _with(spec, path, inside)
        yield BoundCase(f"{field} {rule}", good, _with(spec, path, beyond), field, api_says, parser_says)
    if isinstance(value, dict) and "additionalProperties" in schema:
        for name, child in value.items():
            yield from _walk(schema["additionalProperties"], (*path, name), child, spec)
    elif isinstance(value, dict):
        for name in schema.get("required", ()):
            missing = (*path, name)
            yield BoundCase(
                f"{field} needs {name}",
                None,
                _with(spec, missing, _NOTHING),
                _text("spec", missing),
                "Required value",
                "is required and not there",
            )
        for name, child in value.items():
            yield from _walk(schema["properties"][name], (*path, name), child, spec)
    if isinstance(value, list):
        yield from _walk(schema["items"], (*path, 0), value[0], spec)


_NOTHING = object()


def _bounds(schema: Mapping[str, Any], value: Any) -> Iterator[tuple[str, Any, Any, str, str]]:
    if "minimum" in schema:
        least = schema["minimum"]
        yield (
            "least",
            least,
            least - 1,
            f"should be greater than or equal to {least}",
            f"{least - 1} is too small: write {least:g} or more",
        )
    if "maximum" in schema:
        most = schema["maximum"]
        yield (
            "most",
            _NOTHING if most == 8192 else most,
            most + 1,
            f"should be less than or equal to {most}",
            f"{most + 1} is too large: write {most:g} or less",
        )
    if "maxLength" in schema:
        longest = schema["maxLength"]
        yield (
            "longest",
            _NOTHING,
            "x" * (longest + 1),
            f"Too long: may not be more than {longest} bytes",
            f"{longest + 1} characters are too many: write at most {longest}",
        )
    if "maxItems" in schema:
        most = schema["maxItems"]
        yield (
            "most entries",
            _NOTHING,
            [value[0]] * (most + 1),
            f"must have at most {most} items",
            f"{most + 1} entries are too many: write at most {most}",
        )
    if "maxProperties" in schema:
        most = schema["maxProperties"]
        yield (
            "most keys",
            _NOTHING,
            {f"key{number}": next(iter(value.values())) for number in range(most + 1)},
            f"must have at most {most} items",
            f"{most + 1} entries are too many: write at most {most}",
        )
    if "minItems" in schema:
        yield "no entry", value, [], "should have at least 1 items", "is empty: write 1 or more"
    if "enum" in schema:
        words = ", ".join(f'"{word}"' for word in schema["enum"])
        quoted = ", ".join(f"'{word}'" for word in schema["enum"][:-1]) + f" or '{schema['enum'][-1]}'"
        yield (
            "one of",
            schema["enum"][-1],
            "Other",
            f'Unsupported value: "Other": supported values: {words}',
            f"'Other' is not supported: write {quoted}",
        )
    if "type" in schema:
        wrong, parser_says = _WRONG_TYPE[schema["type"]]
        if "enum" not in schema:
            yield "type", _NOTHING, wrong, f"must be of type {schema['type']}", parser_says


_WRONG_TYPE = {
    "integer": ("three", "'three' is not a whole number: write one without quotation marks"),
    "number": ("three", "'three' is not a number: write one without quotation marks"),
    "boolean": ("yes", "'yes' is neither true nor false: write one of them"),
    "string": (3, "3 is not a text: put it in quotation marks"),
    "array": ("three", "is not a list: begin each entry with '- '"),
    "object": ("three", "'three' is not an object: write its fields below it"),
}


def _with(spec: Mapping[str, Any], path: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(dict(spec))
    node: Any = changed
    for part in path[:-1]:
        node = node[part]
    if value is _NOTHING:
        node.pop(path[-1])
    else:
        node[path[-1]] = value
    return changed


def _text(root: str, path: tuple[str | int, ...]) -> str:
    return root + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
