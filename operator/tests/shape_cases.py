"""Rules on how pods look (`spec.worker`, and what of it `spec.gateway` has): what is taken, what is refused, in which words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pool_cases import Case

_NAME = "is not a name of an object: write lower-case letters, digits, '-' and '.', such as team-secret"
_KEY = "is not a label's key: write one such as topology.kubernetes.io/zone"
_OURS = (
    "keys of the operator: 1; leave out slicewise.dev/… and the name, component, managed-by and part-of of app.kubernetes.io, and "
    "write others, such as team"
)
_TERM = {"matchExpressions": [{"key": "gpu", "operator": "In", "values": ["a100", "h100"]}]}
_PODS = {"labelSelector": {"matchLabels": {"app": "x"}}, "topologyKey": "kubernetes.io/hostname"}
_MORE_PODS = {
    "labelSelector": {"matchExpressions": [{"key": "app", "operator": "In", "values": ["x"]}]},
    "namespaces": ["default"],
    "topologyKey": "kubernetes.io/hostname",
}
_NEAR = {
    "requiredDuringSchedulingIgnoredDuringExecution": [_PODS, _MORE_PODS],
    "preferredDuringSchedulingIgnoredDuringExecution": [
        {"weight": 1, "podAffinityTerm": _PODS},
        {"weight": 1, "podAffinityTerm": _MORE_PODS},
    ],
}
CPU: Mapping[str, Any] = {"cores": "2", "memory": "4Gi"}
FULL_PLACEMENT: Mapping[str, Any] = {
    "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi", "ephemeral-storage": "1Gi"}},
    "nodeSelector": {"pool": "llm"},
    "tolerations": [
        {"key": "team", "operator": "Equal", "value": "llm", "effect": "NoExecute", "tolerationSeconds": 60},
    ],
    "affinity": {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [_TERM]},
            "preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 1, "preference": _TERM}],
        },
        "podAffinity": _NEAR,
        "podAntiAffinity": _NEAR,
    },
    "topologySpreadConstraints": [
        {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    ],
    "priorityClassName": "high",
    "labels": {"team": "ml"},
    "annotations": {"owner": "ml"},
}
FULL_WORKER: Mapping[str, Any] = {
    **FULL_PLACEMENT,
    "runtimeClassName": "nvidia",
    "schedulerName": "default-scheduler",
    "serviceAccountName": "llm",
    "imagePullSecrets": [{"name": "pull"}],
    "env": [
        {"name": "HTTPS_PROXY", "value": "http://proxy.example:3128"},
        {"name": "A", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b", "optional": True}}},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b", "optional": True}}},
    ],
    "envFrom": [
        {"prefix": "X_", "secretRef": {"name": "a", "optional": True}},
        {"configMapRef": {"name": "a", "optional": True}},
    ],
    "volumes": [
        {
            "name": "ca",
            "secret": {"secretName": "ca", "items": [{"key": "ca.crt", "path": "ca.crt"}], "optional": True},
        },
        {"name": "more", "configMap": {"name": "more", "items": [{"key": "k", "path": "d/f"}], "optional": True}},
    ],
    "volumeMounts": [{"name": "ca", "mountPath": "/etc/pool/ca", "subPath": "ca.crt"}],
    "podSecurityContext": {
        "runAsUser": 1000,
        "runAsGroup": 1000,
        "fsGroup": 1000,
        "fsGroupChangePolicy": "Always",
        "supplementalGroups": [2000],
    },
    "containerSecurityContext": {"readOnlyRootFilesystem": False, "runAsUser": 1001, "runAsGroup": 1001},
    "terminationGracePeriodSeconds": 120,
}


def _placement(part: str) -> Iterator[Case]:
    def case(rule: str, field: str, good: Mapping[str, Any], bad: Mapping[str, Any], says: str) -> Case:
        return Case(f"{part} {rule}", {part: good}, {part: bad}, f"spec.{part}.{field}", says)

    def toleration(rule: str, field: str, good: Mapping[str, Any], bad: Mapping[str, Any], says: str) -> Case:
        key = {"key": "team"}
        return case(rule, f"tolerations[0].{field}", {"tolerations": [key | good]}, {"tolerations": [key | bad]}, says)

    for side in ("requests", "limits"):
        yield case(
            f"{side} of the slice",
            f"resources.{side}",
            {"resources": {side: {"cpu": 2, "memory": "4Gi", "ephemeral-storage": "1Gi"}}},
            {"resources": {side: {"nvidia.com/gpu": 1}}},
            "names that are not for this field: 1; write cpu, memory or ephemeral-storage (the slice comes from spec.slice)",
        )
        yield case(
            f"{side} amount",
            f"resources.{side}",
            {"resources": {side: {"cpu": "500m"}}},
            {"resources": {side: {"memory": "4 GB"}}},
            "amounts that are none: 1; write some above 0, such as 500m of cpu or 4Gi of memory",
        )
    yield case(
        "requests above limits",
        "resources.requests",
        {"resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1000m"}}},
        {"resources": {"requests": {"cpu": "2"}, "limits": {"cpu": "1"}}},
        "requests above their limits: 1; write at most the limit",
    )
    yield toleration("taint", "key", {}, {"key": "a team"}, f"'a team' {_KEY}")
    yield toleration(
        "own taint",
        "key",
        {"operator": "Exists"},
        {"key": "node.kubernetes.io/unschedulable"},
        "'node.kubernetes.io/unschedulable' is the cluster's own taint, and what pods do about it is the operator's: leave this "
        "toleration out",
    )
    yield toleration(
        "value",
        "value",
        {"value": "llm"},
        {"operator": "Exists", "value": "llm"},
        "operator Exists takes no value, found 'llm': leave value out, or write operator: Equal",
    )
    yield toleration(
        "seconds",
        "tolerationSeconds",
        {"effect": "NoExecute", "tolerationSeconds": 5},
        {"tolerationSeconds": 5},
        "tolerationSeconds 5 needs effect: NoExecute",
    )
    spread = {"maxSkew": 1, "topologyKey": "example.com/rack", "whenUnsatisfiable": "DoNotSchedule"}
    yield case(
        "spread",
        "topologySpreadConstraints[0].topologyKey",
        {"topologySpreadConstraints": [spread]},
        {"topologySpreadConstraints": [spread | {"topologyKey": "a rack"}]},
        f"'a rack' {_KEY}",
    )
    yield case(
        "priority", "priorityClassName", {"priorityClassName": "high"}, {"priorityClassName": "A B"}, f"'A B' {_NAME}"
    )
    for key in ("slicewise.dev/pool", "app.kubernetes.io/managed-by"):
        yield case(f"label {key}", "labels", {"labels": {"team": "ml"}}, {"labels": {key: "x"}}, _OURS)
    key_says = (
        "keys that are none: 1; write letters, digits, '-', '_' and '.', at most 63, with a domain and '/' before it if you like, such "
        "as team or example.com/team"
    )
    keys = {"team": "ml", "example.com/cost_centre": "ml", f"{'a.' * 126}a/{'b' * 63}": "ml"}
    refused = ("-team", "a..b/team", "b" * 64, f"{'a' * 254}/team")
    for field, bad in (*(("labels", key) for key in refused), ("nodeSelector", "a team"), ("annotations", "a team")):
        yield case(f"{field} key {bad[:12]}", field, {field: keys}, {field: {bad: "ml"}}, key_says)
    for field in ("nodeSelector", "labels"):
        yield case(
            f"{field} value",
            field,
            {field: {"team": "ml_1.a", "empty": ""}},
            {field: {"team": "a b"}},
            "values that are none of a label: 1; write letters, digits, '-', '_' and '.', beginning and ending in a letter or digit, such "
            "as ml-team",
        )
    for key in (
        "container.apparmor.security.beta.kubernetes.io/worker",
        "container.seccomp.security.alpha.kubernetes.io/worker",
        "seccomp.security.alpha.kubernetes.io/pod",
        "deployment.kubernetes.io/revision",
    ):
        yield case(
            f"annotation {key}",
            "annotations",
            {"annotations": {"kubernetes.io/description": "a model"}},
            {"annotations": {key: "unconfined"}},
            "annotations that are not for this field: 1; leave out security profiles (apparmor, seccomp) and "
            "deployment.kubernetes.io/…, which belong to the cluster",
        )
    yield case(
        "annotation",
        "annotations",
        {"annotations": {"sidecar.istio.io/inject": "false"}},
        {"annotations": {"slicewise.dev/applied": "x"}},
        _OURS,
    )


def _of_fallback() -> Iterator[Case]:
    """The cases of what the fallback has of it: selector and tolerations."""
    for case in _placement("worker"):
        if "nodeSelector" in case.field or "tolerations" in case.field:
            good, bad = ({"fallback": {"cpu": {**CPU, **spec["worker"]}}} for spec in (case.good, case.bad))
            field = case.field.replace("spec.worker", "spec.fallback.cpu")
            yield Case(f"fallback {case.rule}", good, bad, field, case.says)


PLACEMENT_CASES = (*_placement("worker"), *_placement("gateway"), *_of_fallback())
