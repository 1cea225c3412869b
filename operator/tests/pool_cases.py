"""What the schema takes and what it refuses, rule by rule: one table for the API server and for `parse_pool`.

Bounds (least, most, longest, one of) are not listed: `bound_cases.py` makes them from the schema, so none is forgotten.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from builders import DIGEST

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
        "s3://bucket/key, oci://host/repo@sha256:… or pvc://claim/path, with special characters encoded as in %20; passwords "
        "go to credentialsSecretRef",
    )


def _blank(good: str, bad: str) -> Case:
    return Case(
        f"source with a blank {bad.split(':', maxsplit=1)[0]}",
        {"model": {"source": good, "digest": DIGEST}},
        {"model": {"source": bad, "digest": DIGEST}},
        "spec.model.source",
        f"'{bad}' has a blank: write each as %20, {good}",
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
    between = f"from {low}" if " to " in low else f"of {low} or more"
    text = f"'{bad}' is not an amount of memory {between}: write a number with Ki, Mi, Gi or Ti, such as {example}" + (
        ", or Auto" if auto else ""
    )
    return _value(field, good, bad, text, rule=str(bad), **beside)


def _percent(field: str, low: str, high: str, example: str, bad: str, **beside: Any) -> Case:
    text = f"'{bad}' is not a percentage from {low}% to {high}%: write a number with %, such as {example}"
    return _value(field, example, bad, text, rule=bad, **beside)


def _steps(*weights: int) -> list[dict[str, Any]]:
    return [{"weight": weight, "window": "60s"} for weight in weights]


_NAME = "is not a name of an object: write lower-case letters, digits, '-' and '.', such as team-secret"
_MODEL_NAME = "is not a model's name: write letters, digits and . _ : / -, such as chat-small"
_COUNT_WORDS = "is not a number from 1 to 1000: write a whole number, such as 4, or Auto"
_CONTEXT_WORDS = "is not a number from 64 to 1048576: write a whole number, such as 4096, or Auto"
_SEQUENCE_WORDS = "is not a number from 1 to 256: write a whole number, such as 4, or Auto"
_CHUNK_WORDS = "promptChunkTokens 512 is more than contextTokens 256: write at most 256"
_CPU_WORDS = "is not an amount of CPU: write cores or thousandths of one, such as 2 or 500m"
_FALLBACK: dict[str, Any] = {"cpu": {"cores": "2", "memory": "4Gi"}}
_REDIS = {"responseCache": {"redisSecretRef": {"name": "redis"}}}

_OWN = (
    _source("hub", "hf://org/repo@main/folder/q8.gguf", "hf://org/repo/q8.gguf"),
    _source("web", "https://models.example.com:8443/a/b.gguf?x=1", "https://user:secret@models.example.com/b.gguf"),
    _source("bucket", "s3://models/chat/q8.gguf", "s3://Models/q8.gguf"),
    _source("registry", OCI, "oci://registry.example.com/models/small:latest"),
    _source("claim", "pvc://weights/q8.gguf", "pvc://weights"),
    _source("scheme", HUB, "ftp://models.example.com/q8.gguf"),
    _source("percent", "pvc://weights/100%25.gguf", "pvc://weights/100%.gguf"),
    _source("control", "s3://models/a%7Eb.gguf", "s3://models/a%00b.gguf"),
    _source("mark", "s3://models/What%3F.gguf", "s3://models/What?.gguf"),
    _blank("pvc://weights/My%20Model%20(1).gguf", "pvc://weights/My Model (1).gguf"),
    _blank("s3://models/My%20Model%20(1).gguf", "s3://models/My Model (1).gguf"),
    _blank("hf://org/repo@main/My%20Model.gguf", "hf://org/repo@main/My Model.gguf"),
    _blank("https://models.example/My%20Model.gguf", "https://models.example/My Model.gguf"),
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
    _value("model.name", "meta/chat-small:1.0", "chat small", f"'chat small' {_MODEL_NAME}", source=HUB),
    replace(_value("model.aliases", ["a"], ["a b"], f"'a b' {_MODEL_NAME}", source=HUB), field="spec.model.aliases[0]"),
    _value("model.credentialsSecretRef.name", "hf-token", "HF_TOKEN", f"'HF_TOKEN' {_NAME}", source=HUB),
    _value("engine.contextTokens", "Auto", 1_048_577, f"'1048577' {_CONTEXT_WORDS}"),
    _value("engine.parallelSequences", 256, "4", f"'4' {_SEQUENCE_WORDS}"),
    _value("engine.promptChunkTokens", 256, 512, _CHUNK_WORDS, contextTokens=256),
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
    *(_duration("engine.maxTokenGap", "10ms", "10s", "200ms", bad) for bad in ("9ms", "11s")),
    _duration("rollout.canary.p95", "1ms", "1h", "600ms", "600"),
    _duration("rollout.canary.deadline", "1s", "168h", "60m", "1w"),
    _percent("rollout.canary.maxErrors", "0.001", "50", "1%", "0.01"),
    _percent("rollout.canary.maxErrors", "0.001", "50", "1%", "0%"),
    _percent("rollout.canary.confidence", "50", "99.999", "99%", "100%"),
    _value("autoscaling.maxReplicas", 4, 3, "maxReplicas 3 is less than minReplicas 4: write 4 or more", minReplicas=4),
    _value("autoscaling.targetRequestsPerWorker", "Auto", "auto", f"'auto' {_COUNT_WORDS}", maxReplicas=4),
    _value("autoscaling.targetRequestsPerWorker", 1000, 0, f"'0' {_COUNT_WORDS}", maxReplicas=4),
    _duration("autoscaling.idleAfter", "1s", "168h", "60m", "never", maxReplicas=4),
    _percent("health.memoryPressure", "1", "100", "80%", "101%"),
    _duration("health.memoryPressureFor", "1s", "1h", "90s", "soon"),
    _duration("health.watchdogPeriod", "1s", "1h", "90s", "500ms"),
    _duration("health.stallAfter", "1s", "1h", "90s", "2h"),
    _value("fallback.cpu.cores", "1.5", "1.5m", f"'1.5m' {_CPU_WORDS}", **_FALLBACK),
    _memory("fallback.cpu.memory", "4Gi", "4gb", "1Mi", "8Gi", **_FALLBACK),
    _value("gateway.tenantKeysSecretRef.name", "keys", "keys_", f"'keys_' {_NAME}"),
    _memory("gateway.limits.maxBodyBytes", "16Mi", "17Mi", "1Ki to 16Mi", "1Mi"),
    _duration("gateway.limits.requestTimeout", "1s", "1h", "90s", "0"),
    _duration("gateway.responseCache.ttl", "1s", "24h", "15m", "0.5s", **_REDIS),
    _value("gateway.responseCache.redisSecretRef.name", "redis", "re dis", f"'re dis' {_NAME}"),
)


def with_fallback(cases: tuple[Case, ...]) -> tuple[Case, ...]:
    """Return `cases`, and those of the model again for the model of the fallback, which keeps the same rules."""
    again = (
        Case(
            f"fallback {case.rule}",
            {"fallback": {"cpu": {**_FALLBACK["cpu"], "model": case.good["model"]}}},
            {"fallback": {"cpu": {**_FALLBACK["cpu"], "model": case.bad["model"]}}},
            case.field.replace("spec.", "spec.fallback.cpu."),
            case.says,
        )
        for case in cases
        if case.field.startswith("spec.model")
    )
    return (*cases, *again)


CASES = with_fallback(_OWN)
