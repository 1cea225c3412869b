"""The way back to a kept revision: which one, and that the spec then asks for exactly it."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import samples
from builders import MIG

from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.pool.revision import revision_hash, revision_inputs
from slicewise_cli.view.gitops import brought_by
from slicewise_cli.view.request import Refusal
from slicewise_cli.view.revisions import Kept, Undo, plan_undo, read_history


def inputs(pool: dict[str, Any]) -> dict[str, Any]:
    parsed = parse_pool(pool)
    assert isinstance(parsed, InferencePool), parsed
    return revision_inputs(parsed.spec)


def merged(value: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result


OLD = samples.idle(model=samples.model("a"), engine={"contextTokens": 2048})
NEW = samples.idle(
    model={**samples.model("b"), "credentialsSecretRef": {"name": "hf"}},
    slice={"minMemory": "8Gi"},
    replicas=3,
)


def history(pool: dict[str, Any], *old: dict[str, Any]) -> tuple[Kept, ...]:
    stored = [samples.revision(n, revision_hash(inputs(each)), **inputs(each)) for n, each in enumerate(old, 1)]
    return read_history(pool, stored)


def serving(pool: dict[str, Any], stable: dict[str, Any], rollout: dict[str, Any] | None = None) -> dict[str, Any]:
    copied = copy.deepcopy(pool)
    copied["status"]["revisions"] = {"stable": revision_hash(inputs(stable))}
    copied["status"]["rollout"] = rollout or {"phase": "Idle"}
    return copied


def test_the_spec_asks_for_the_old_revision_to_the_letter() -> None:
    pool = serving(NEW, NEW)
    way = plan_undo(pool, history(pool, OLD, NEW), None)
    assert isinstance(way, Undo)
    assert way.to.number == 1
    after = merged(pool, way.patch)
    assert revision_hash(inputs(after)) == revision_hash(inputs(OLD))
    assert after["spec"]["replicas"] == 3
    assert after["spec"]["slice"] == {"resource": MIG}
    assert way.patch["metadata"] == {"resourceVersion": "7"}


def test_fields_that_are_alike_are_left_out_of_the_patch() -> None:
    pool = serving(NEW, NEW)
    way = plan_undo(pool, history(pool, OLD, NEW), 1)
    assert isinstance(way, Undo)
    assert way.patch["spec"]["engine"] == {"contextTokens": 2048}
    assert {change.path for change in way.changes} == {
        "spec.engine.contextTokens",
        "spec.model.credentialsSecretRef",
        "spec.model.digest",
        "spec.model.source",
        "spec.slice.minMemory",
        "spec.slice.resource",
    }


@pytest.mark.parametrize("phase", ["Analysing", "Promoting", "RolledBack"])
def test_in_a_rollout_the_way_back_is_to_what_serves(phase: str) -> None:
    pool = serving(NEW, OLD, {"phase": phase, "target": revision_hash(inputs(NEW))})
    way = plan_undo(pool, history(pool, OLD, NEW), None)
    assert isinstance(way, Undo)
    assert way.to.role == "stable"


def test_a_way_back_that_leads_nowhere_is_refused() -> None:
    pool = serving(NEW, NEW)
    for to, words in ((2, "already asks for revision 2"), (9, "--to-revision 9 is not kept; there are: 1, 2")):
        refused = plan_undo(pool, history(pool, OLD, NEW), to)
        assert isinstance(refused, Refusal)
        assert words in refused.sentence
    refused = plan_undo(pool, history(pool, NEW), None)
    assert isinstance(refused, Refusal)
    assert "no other revision is kept" in refused.sentence


@pytest.mark.parametrize(
    ("metadata", "tool"),
    [
        (
            {"annotations": {"argocd.argoproj.io/tracking-id": "pools:slicewise.dev/InferencePool:team-a/chat"}},
            "Argo CD",
        ),
        ({"managedFields": [{"manager": "argocd-controller"}]}, "Argo CD"),
        ({"labels": {"kustomize.toolkit.fluxcd.io/name": "pools"}}, "Flux"),
        ({"labels": {"helm.toolkit.fluxcd.io/name": "pools"}}, "Flux"),
        ({"labels": {"app.kubernetes.io/instance": "pools"}, "managedFields": [{"manager": "kubectl"}]}, ""),
    ],
)
def test_who_brings_a_pool_from_git_is_known_by_its_marks(metadata: dict[str, Any], tool: str) -> None:
    assert brought_by(samples.changed(samples.idle(), **metadata)) == tool
