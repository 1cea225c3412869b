"""Rules on `spec.worker` alone: what is taken, what is refused, in which words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pool_cases import Case
from shape_cases import FULL_PLACEMENT, PLACEMENT_CASES

_NAME = "is not a name of an object: write lower-case letters, digits, '-' and '.', such as team-secret"


def _worker(rule: str, field: str, good: Mapping[str, Any], bad: Mapping[str, Any], says: str) -> Case:
    return Case(f"worker {rule}", {"worker": good}, {"worker": bad}, f"spec.worker.{field}".rstrip("."), says)


def _name(field: str) -> Case:
    return _worker(field, field, {field: "nvidia"}, {field: "N V"}, f"'N V' {_NAME}")


def _env(rule: str, field: str, good: Any, bad: Any, says: str) -> Case:
    return _worker(
        f"env {rule}", f"env[0]{field}", {"env": [{"name": "A"} | good]}, {"env": [{"name": "A"} | bad]}, says
    )


def _env_from(rule: str, field: str, good: Any, bad: Any, says: str) -> Case:
    return _worker(f"envFrom {rule}", f"envFrom[0]{field}", {"envFrom": [good]}, {"envFrom": [bad]}, says)


def _volume(rule: str, field: str, good: Any, bad: Any, says: str) -> Case:
    name = {"name": "ca"}
    return _worker(f"volume {rule}", f"volumes[0]{field}", {"volumes": [name | good]}, {"volumes": [name | bad]}, says)


def _mount(rule: str, field: str, good: Any, bad: Any, says: str) -> Case:
    there = {"volumes": [{"name": "ca", "configMap": {"name": "ca"}}]}
    base = {"name": "ca", "mountPath": "/etc/pool/ca"}
    return _worker(
        f"mount {rule}",
        f"volumeMounts[0].{field}",
        there | {"volumeMounts": [base | good]},
        there | {"volumeMounts": [base | bad]},
        says,
    )


def _one_of(forms: str, found: str, example: str) -> str:
    return f"exactly one of {forms} has to be there, found: {found}; write for example {example}"


_PLACE = (
    "is not a place for a volume: write a path of two parts or more that is not the operator's, the image's or the kernel's, "
    "such as /etc/pool/ca"
)
_INNER = "is not a path inside of a volume: write names with / between them, such as ca.crt"
_CPU = {"slice": {"cpu": {"cores": "1", "memory": "2Gi"}}}

SHAPE_CASES = (
    *PLACEMENT_CASES,
    *(_name(field) for field in ("runtimeClassName", "schedulerName", "serviceAccountName")),
    Case(
        "engine flash attention",
        {"engine": {"kvCacheType": "f16", "flashAttention": "Disabled"}},
        {"engine": {"kvCacheType": "q8_0", "flashAttention": "Disabled"}},
        "spec.engine.flashAttention",
        "kvCacheType q8_0 needs flash attention: leave flashAttention out, or write kvCacheType: f16",
    ),
    _worker(
        "pull secret",
        "imagePullSecrets[0].name",
        {"imagePullSecrets": [{"name": "pull"}]},
        {"imagePullSecrets": [{"name": "p_"}]},
        f"'p_' {_NAME}",
    ),
    _env(
        "name",
        ".name",
        {"name": "HTTPS_PROXY"},
        {"name": "1A"},
        "'1A' is not a variable's name: write letters, digits and _ . -, such as TZ",
    ),
    _env(
        "own",
        ".name",
        {"value": "x"},
        {"name": "SLICEWISE_FETCH_SOURCE"},
        "'SLICEWISE_FETCH_SOURCE' is set by the operator: leave it out, spec.engine and the chart have fields for it",
    ),
    _env(
        "both",
        "",
        {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        {"value": "x", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}},
        "'A' has both value and valueFrom: write one of them",
    ),
    _env(
        "source",
        ".valueFrom",
        {"valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}},
        {"valueFrom": {}},
        _one_of("secretKeyRef, configMapKeyRef", "none", "secretKeyRef: {name: keys, key: one}"),
    ),
    *(
        _env(
            ref,
            f".valueFrom.{ref}.name",
            {"valueFrom": {ref: {"name": "a", "key": "b"}}},
            {"valueFrom": {ref: {"name": "A", "key": "b"}}},
            f"'A' {_NAME}",
        )
        for ref in ("secretKeyRef", "configMapKeyRef")
    ),
    _env_from(
        "one",
        "",
        {"secretRef": {"name": "a"}},
        {"prefix": "X_"},
        _one_of("secretRef, configMapRef", "none", "configMapRef: {name: settings}"),
    ),
    _env_from(
        "prefix",
        ".prefix",
        {"prefix": "X_", "secretRef": {"name": "a"}},
        {"prefix": "SLICEWISE_WORKER_", "secretRef": {"name": "a"}},
        "'SLICEWISE_WORKER_' is the prefix of the operator's variables: write another one",
    ),
    *(
        _env_from(ref, f".{ref}.name", {ref: {"name": "a"}}, {ref: {"name": "A"}}, f"'A' {_NAME}")
        for ref in ("secretRef", "configMapRef")
    ),
    _volume(
        "name",
        ".name",
        {"secret": {"secretName": "ca"}},
        {"name": "c.a", "secret": {"secretName": "ca"}},
        "'c.a' is not a volume's name: write small letters, digits and '-', such as ca",
    ),
    _volume(
        "own",
        ".name",
        {"configMap": {"name": "ca"}},
        {"name": "weights", "configMap": {"name": "ca"}},
        "volume 'weights' is the operator's: write another name",
    ),
    _volume(
        "forms",
        "",
        {"configMap": {"name": "ca"}},
        {"configMap": {"name": "ca"}, "secret": {"secretName": "ca"}},
        _one_of("secret, configMap", "secret configMap", "configMap: {name: ca}"),
    ),
    _volume(
        "secret",
        ".secret.secretName",
        {"secret": {"secretName": "ca"}},
        {"secret": {"secretName": "CA"}},
        f"'CA' {_NAME}",
    ),
    _volume("map", ".configMap.name", {"configMap": {"name": "ca"}}, {"configMap": {"name": "CA"}}, f"'CA' {_NAME}"),
    _volume(
        "secret path",
        ".secret.items[0].path",
        {"secret": {"secretName": "ca", "items": [{"key": "a", "path": "b/c"}]}},
        {"secret": {"secretName": "ca", "items": [{"key": "a", "path": "/b"}]}},
        f"'/b' {_INNER}",
    ),
    _volume(
        "map path",
        ".configMap.items[0].path",
        {"configMap": {"name": "ca", "items": [{"key": "a", "path": "b"}]}},
        {"configMap": {"name": "ca", "items": [{"key": "a", "path": "b//c"}]}},
        f"'b//c' {_INNER}",
    ),
    _mount(
        "own path", "mountPath", {"mountPath": "/etc/ssl/pool"}, {"mountPath": "/weights/x"}, f"'/weights/x' {_PLACE}"
    ),
    _mount("root", "mountPath", {}, {"mountPath": "/etc"}, f"'/etc' {_PLACE}"),
    _mount("kernel", "mountPath", {}, {"mountPath": "/proc/self"}, f"'/proc/self' {_PLACE}"),
    _mount("way up", "mountPath", {}, {"mountPath": "/etc/../proc"}, f"'/etc/../proc' {_PLACE}"),
    _mount("sub path", "subPath", {"subPath": "a/b"}, {"subPath": "../b"}, f"'../b' {_INNER}"),
    _worker(
        "mount without volume",
        "volumeMounts",
        {
            "volumes": [{"name": "ca", "configMap": {"name": "ca"}}],
            "volumeMounts": [{"name": "ca", "mountPath": "/etc/pool/ca"}],
        },
        {"volumeMounts": [{"name": "ca", "mountPath": "/etc/pool/ca"}]},
        "mounts without a volume: 1; write the volume into volumes, or leave the mount out",
    ),
    Case(
        "worker spread over zones",
        {"worker": {"topologySpreadConstraints": FULL_PLACEMENT["topologySpreadConstraints"]}},
        {
            "zones": {"topologyKey": "kubernetes.io/hostname"},
            "worker": {"topologySpreadConstraints": FULL_PLACEMENT["topologySpreadConstraints"]},
        },
        "spec.worker.topologySpreadConstraints",
        "'kubernetes.io/hostname' is the zones' label, and spec.zones places workers over zones: write another label",
    ),
    Case(
        "worker size said twice",
        _CPU | {"worker": {"resources": {"limits": {"ephemeral-storage": "1Gi"}}}},
        _CPU | {"worker": {"resources": {"limits": {"memory": "1Gi"}}}},
        "spec.worker.resources",
        "spec.slice.cpu already says cpu (1) and memory: leave them out here, ephemeral-storage may stay",
    ),
)
