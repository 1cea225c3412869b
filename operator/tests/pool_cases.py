"""What the schema takes and what it refuses, rule by rule: one table for the API server and for `parse_pool`.

Bounds (least, most, longest, one of) are not listed: `bound_cases` makes them from the schema, so none can be forgotten.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from builders import DIGEST, pool_object

COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = f"hf://org/repo@{COMMIT}/q8.gguf"
OCI = f"oci://registry.example.com:5000/models/small@{DIGEST}"


@dataclass(frozen=True)
class Case:
    """A rule, a spec that keeps it, one that breaks it, and what the user then reads."""

    rule: str
    good: Mapping[str, Any]
    bad: Mapping[str, Any]
    field: str
    says: str


def _source(rule: str, good: str, bad: str) -> Case:
    return Case(
        f"source {rule}",
        {"model": {"source": good, "digest": DIGEST}},
        {"model": {"source": bad, "digest": DIGEST}},
        "spec.model.source",
        f"'{bad}' is not a source of weights: write hf://org/repo@revision/file.gguf, https://host/file.gguf, "
        "s3://bucket/key, oci://host/repo@sha256:… or pvc://claim/path; passwords go to credentialsSecretRef",
    )


def _digest_needed(rule: str, good: Mapping[str, Any], source: str) -> Case:
    return Case(
        f"digest {rule}",
        {"model": good},
        {"model": {"source": source}},
        "spec.model.digest",
        f"digest is required because '{source}' can change: write digest: sha256:<what sha256sum prints>, or name the "
        "source by its content, hf://org/repo@<commit of 40 digits>/file.gguf or oci://host/repo@sha256:…",
    )


def _slice(rule: str, good: Mapping[str, Any], bad: Mapping[str, Any], found: str) -> Case:
    return Case(
        f"slice {rule}",
        {"slice": good},
        {"slice": bad},
        "spec.slice",
        f"exactly one of resource, minMemory, deviceClass, cpu has to be there, found: {found}; write for example "
        "slice: {resource: nvidia.com/mig-1g.10gb}",
    )


def _value(field: str, good: Any, bad: Any, says: str, *, rule: str = "", **beside: Any) -> Case:
    """A case about one value, at a path below spec; `beside`: what else the top-level field needs."""
    return Case(f"{field} {rule}".strip(), _nest(field, good, beside), _nest(field, bad, beside), f"spec.{field}", says)


def _nest(field: str, value: Any, beside: Mapping[str, Any]) -> dict[str, Any]:
    top, *rest = field.split(".")
    inner = copy.deepcopy(dict(beside))
    node = inner
    for part in rest[:-1]:
        node = node.setdefault(part, {})
    if not rest:
        return {top: value}
    node[rest[-1]] = value
    return {top: inner}


def _duration(field: str, low: str, high: str, example: str, bad: str, **beside: Any) -> Case:
    text = f"'{bad}' is not a duration from {low} to {high}: write a number with h, m, s or ms, such as {example}"
    return _value(field, example, bad, text, rule=bad, **beside)


def _memory(field: str, good: Any, bad: Any, low: str, example: str, *, auto: bool = False, **beside: Any) -> Case:
    text = (
        f"'{bad}' is not an amount of memory of {low} or more: write a number with Ki, Mi, Gi or Ti, such as {example}"
        + (", or Auto" if auto else "")
    )
    return _value(field, good, bad, text, rule=str(bad), **beside)


def _percent(field: str, low: str, high: str, example: str, bad: str) -> Case:
    text = f"'{bad}' is not a percentage from {low}% to {high}%: write a number with %, such as {example}"
    return _value(field, example, bad, text, rule=bad)


def _steps(*weights: int) -> list[dict[str, Any]]:
    return [{"weight": weight, "window": "60s"} for weight in weights]


_NAME = "is not a name of an object: write lower-case letters, digits, '-' and '.', such as team-secret"
_CPU_WORDS = "is not an amount of CPU: write cores or thousandths of one, such as 2 or 500m"
_FALLBACK = {"cpu": {"cores": "2", "memory": "4Gi"}}
_REDIS = {"responseCache": {"redisSecretRef": {"name": "redis"}}}

CASES = (
    _source("hub", "hf://org/repo@main/folder/q8.gguf", "hf://org/repo/q8.gguf"),
    _source("web", "https://models.example.com:8443/a/b.gguf?x=1", "https://user:secret@models.example.com/b.gguf"),
    _source("bucket", "s3://models/chat/q8.gguf", "s3://Models/q8.gguf"),
    _source("registry", OCI, "oci://registry.example.com/models/small:latest"),
    _source("claim", "pvc://weights/q8.gguf", "pvc://weights"),
    _source("scheme", HUB, "ftp://models.example.com/q8.gguf"),
    _digest_needed("on the web", {"source": "https://a.example/b", "digest": DIGEST}, "https://a.example/b"),
    _digest_needed("in a bucket", {"source": "s3://models/b", "digest": DIGEST}, "s3://models/b"),
    _digest_needed("on a claim", {"source": "pvc://weights/b", "digest": DIGEST}, "pvc://weights/b"),
    _digest_needed("at a branch", {"source": HUB}, "hf://org/repo@main/q8.gguf"),
    _digest_needed("at a short commit", {"source": OCI}, "hf://org/repo@0123456/q8.gguf"),
    _value(
        "model.digest",
        DIGEST,
        "SHA256:ABC",
        "'SHA256:ABC' is not a digest: write sha256: and the 64 small hexadecimal digits that sha256sum prints",
        source=HUB,
    ),
    _value(
        "model.name",
        "meta/chat-small:1.0",
        "chat small",
        "'chat small' is not a model's name: write letters, digits and . _ : / -, such as chat-small",
        source=HUB,
    ),
    _value("model.credentialsSecretRef.name", "hf-token", "HF_TOKEN", f"'HF_TOKEN' {_NAME}", source=HUB),
    _value(
        "engine.promptChunkTokens",
        256,
        512,
        "promptChunkTokens 512 is more than contextTokens 256: write at most 256",
        contextTokens=256,
    ),
    _value(
        "engine.image",
        "registry.example.com:5000/worker:1.2",
        "my image",
        "'my image' is not an image: write host/name:tag or host/name@sha256:…, such as registry.example.com/worker:1.2",
    ),
    _slice("none", {"resource": "nvidia.com/gpu"}, {}, "none"),
    _slice("two", {"minMemory": "8Gi"}, {"resource": "nvidia.com/gpu", "minMemory": "8Gi"}, "resource minMemory"),
    _slice(
        "two others",
        {"cpu": {"cores": 1, "memory": "2Gi"}},
        {"deviceClass": "gpu", "cpu": {"cores": 1, "memory": "2Gi"}},
        "deviceClass cpu",
    ),
    _value(
        "slice.resource",
        "nvidia.com/mig-1g.10gb",
        "mig-1g.10gb",
        "'mig-1g.10gb' is not an extended resource: write domain/name as the device plugin offers it, such as "
        "nvidia.com/mig-1g.10gb",
    ),
    _memory("slice.minMemory", "Auto", "auto", "1Mi", "8Gi", auto=True),
    _memory("slice.minMemory", "9728Mi", "8GB", "1Mi", "8Gi", auto=True),
    _memory("slice.minMemory", 10737418240, 8, "1Mi", "8Gi", auto=True),
    _value("slice.deviceClass", "gpu.nvidia.com", "GPU!", f"'GPU!' {_NAME}"),
    _value("slice.cpu.cores", "500m", "two", f"'two' {_CPU_WORDS}", cpu={"memory": "2Gi"}),
    _value("slice.cpu.cores", 2, 0, f"'0' {_CPU_WORDS}", cpu={"memory": "2Gi"}, rule="zero"),
    _memory("slice.cpu.memory", "2.5Gi", "400m", "1Mi", "8Gi", cpu={"cores": "1"}),
    _value(
        "zones.topologyKey",
        "example.com/rack",
        "the rack",
        "'the rack' is not a label's key: write one such as topology.kubernetes.io/zone",
    ),
    Case(
        "zones.names",
        {"zones": {"names": ["eu-west-1a", "b"]}},
        {"zones": {"names": ["zone a"]}},
        "spec.zones.names[0]",
        "'zone a' is not a label's value: write a zone as the nodes' label says it, such as eu-west-1a",
    ),
    Case(
        "cache none",
        {"cache": {"emptyDir": {}}},
        {"cache": {}},
        "spec.cache",
        "exactly one of emptyDir, persistentVolumeClaim has to be there, found: none; write for example "
        "cache: {emptyDir: {sizeLimit: 20Gi}}",
    ),
    Case(
        "cache two",
        {"cache": {"persistentVolumeClaim": {"claimName": "weights"}}},
        {"cache": {"emptyDir": {}, "persistentVolumeClaim": {"claimName": "weights"}}},
        "spec.cache",
        "exactly one of emptyDir, persistentVolumeClaim has to be there, found: emptyDir persistentVolumeClaim; write for "
        "example cache: {emptyDir: {sizeLimit: 20Gi}}",
    ),
    Case(
        "claim two",
        {"cache": {"persistentVolumeClaim": {"template": {"size": "20Gi"}}}},
        {"cache": {"persistentVolumeClaim": {"claimName": "weights", "template": {"size": "20Gi"}}}},
        "spec.cache.persistentVolumeClaim",
        "exactly one of claimName, template has to be there, found: claimName template; write for example "
        "template: {size: 20Gi}",
    ),
    _memory("cache.emptyDir.sizeLimit", "20Gi", "20 GB", "1Mi", "8Gi"),
    _value("cache.persistentVolumeClaim.claimName", "weights", "Weights", f"'Weights' {_NAME}"),
    _memory("cache.persistentVolumeClaim.template.size", "20Gi", "-1Gi", "1Mi", "8Gi"),
    _value(
        "cache.persistentVolumeClaim.template.storageClassName",
        "fast",
        "Fast",
        f"'Fast' {_NAME}",
        persistentVolumeClaim={"template": {"size": "20Gi"}},
    ),
    _duration("rollout.progressDeadline", "1s", "24h", "15m", "15 minutes"),
    _duration("rollout.progressDeadline", "1s", "24h", "15m", "0s"),
    _duration("rollout.progressDeadline", "1s", "24h", "15m", "-5m"),
    _duration("rollout.progressDeadline", "1s", "24h", "15m", "24h1s"),
    _duration("rollout.progressDeadline", "1s", "24h", "15m", "15"),
    _value(
        "rollout.canary.steps",
        _steps(5, 25, 50),
        _steps(5, 50, 50),
        "the weights [5, 50, 50] do not rise: write each step's weight above the one before, such as 5, 25, 50; 100 follows "
        "the last by itself",
    ),
    Case(
        "rollout.canary.steps window",
        {"rollout": {"canary": {"steps": [{"weight": 5, "window": "1h30m"}]}}},
        {"rollout": {"canary": {"steps": [{"weight": 5, "window": "1d"}]}}},
        "spec.rollout.canary.steps[0].window",
        "'1d' is not a duration from 1s to 24h: write a number with h, m, s or ms, such as 15m",
    ),
    _duration("rollout.canary.p95", "1ms", "1h", "600ms", "600"),
    _duration("rollout.canary.deadline", "1s", "168h", "60m", "1w"),
    _percent("rollout.canary.maxErrors", "0.001", "50", "1%", "0.01"),
    _percent("rollout.canary.maxErrors", "0.001", "50", "1%", "0%"),
    _percent("rollout.canary.confidence", "50", "99.999", "99%", "100%"),
    _value("autoscaling.maxReplicas", 4, 3, "maxReplicas 3 is less than minReplicas 4: write 4 or more", minReplicas=4),
    _duration("autoscaling.idleAfter", "1s", "168h", "60m", "never", maxReplicas=4),
    _percent("health.memoryPressure", "1", "100", "80%", "101%"),
    _duration("health.memoryPressureFor", "1s", "1h", "90s", "soon"),
    _duration("health.watchdogPeriod", "1s", "1h", "90s", "500ms"),
    _duration("health.stallAfter", "1s", "1h", "90s", "2h"),
    _value("fallback.cpu.cores", "1.5", "1.5m", f"'1.5m' {_CPU_WORDS}", **_FALLBACK),
    _memory("fallback.cpu.memory", "4Gi", "4gb", "1Mi", "8Gi", **_FALLBACK),
    Case(
        "fallback.cpu.model",
        {"fallback": {"cpu": {**_FALLBACK["cpu"], "model": {"source": HUB}}}},
        {"fallback": {"cpu": {**_FALLBACK["cpu"], "model": {"source": "s3://models/b"}}}},
        "spec.fallback.cpu.model.digest",
        "digest is required because 's3://models/b' can change: write digest: sha256:<what sha256sum prints>, or name the "
        "source by its content, hf://org/repo@<commit of 40 digits>/file.gguf or oci://host/repo@sha256:…",
    ),
    _value("gateway.tenantKeysSecretRef.name", "keys", "keys_", f"'keys_' {_NAME}"),
    _memory("gateway.limits.maxBodyBytes", "1Mi", "1M1", "1Ki", "1Mi"),
    _duration("gateway.limits.requestTimeout", "1s", "1h", "90s", "0"),
    _duration("gateway.responseCache.ttl", "1s", "24h", "15m", "0.5s", **_REDIS),
    _value("gateway.responseCache.redisSecretRef.name", "redis", "re dis", f"'re dis' {_NAME}"),
)

FULL: tuple[dict[str, Any], ...] = (
    {
        "model": {"name": "chat", "source": HUB, "digest": DIGEST, "credentialsSecretRef": {"name": "hf"}},
        "engine": {
            "contextTokens": 8192,
            "parallelSequences": 4,
            "kvCacheType": "q8_0",
            "promptChunkTokens": 64,
            "maxQueue": 64,
            "image": "registry.example.com/worker:1.2",
        },
        "slice": {"resource": "nvidia.com/mig-1g.10gb"},
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
        "autoscaling": {"minReplicas": 1, "maxReplicas": 1000, "targetRequestsPerWorker": 4, "idleAfter": "10m"},
        "health": {
            "memoryPressure": "80%",
            "memoryPressureFor": "3s",
            "watchdogPeriod": "5s",
            "stallAfter": "30s",
        },
        "fallback": {
            "cpu": {
                "replicas": 1,
                "cores": "2",
                "memory": "4Gi",
                "model": {"name": "chat", "source": HUB, "digest": DIGEST, "credentialsSecretRef": {"name": "hf"}},
            }
        },
        "gateway": {
            "replicas": 1,
            "tenantKeysSecretRef": {"name": "keys"},
            "limits": {"maxBodyBytes": "1Mi", "requestTimeout": "90s", "perTenantRequestsPerMinute": 600},
            "responseCache": {"ttl": "60s", "redisSecretRef": {"name": "redis"}},
        },
        "suspend": False,
    },
    {"slice": {"minMemory": "Auto"}, "cache": {"persistentVolumeClaim": {"claimName": "weights"}}},
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
    if isinstance(value, dict):
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
    if "minItems" in schema:
        yield "no entry", value[:1], [], "should have at least 1 items", "is empty: write 1 or more"
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
