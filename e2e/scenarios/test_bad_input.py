"""Edits that are wrong: refused with a sentence, or told in a condition while everything serves on; the next good one recovers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2e.support import pool as pools
from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import MODELS, Pool
from e2e.support.programs import ProgramError
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When


def test_an_edit_that_breaks_a_rule_is_refused_in_words_and_changes_nothing(
    given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=1, zones=None)
    before = pool.object()["metadata"]["generation"]
    for spec, words in (
        ({"slice": {"cpu": {"cores": "1", "memory": "1Gi"}}}, "exactly one"),
        ({"model": {"digest": None}}, "digest is required because"),
        ({"model": {"source": "ftp://host/file.gguf"}}, "is not a source of weights: write hf://"),
        ({"rollout": {"progressDeadline": "15 minutes"}}, "progressDeadline"),
        ({"replicas": -1}, "replicas"),
        ({"replcas": 3}, "replcas"),
    ):
        with pytest.raises(ProgramError) as refused:
            when.edited_strictly(pool, **spec)
        assert words in refused.value.output, f"{spec}: {refused.value.output}"
    assert pool.object()["metadata"]["generation"] == before
    then.is_ready(pool)


def wrong_digest() -> dict[str, Any]:
    return {"model": {**pools.model("wordy"), "digest": f"sha256:{'0' * 64}"}}


TROUBLES = {
    "wrong digest": (wrong_digest, "WeightsCached", "DigestMismatch"),
    "no such file": (lambda: {"model": {"source": f"{MODELS}/nothing.gguf"}}, "WeightsCached", "SourceNotFound"),
    "source that does not answer": (
        lambda: {"model": {"source": "http://models.nowhere.svc/tiny.gguf"}},
        "WeightsCached",
        "SourceUnreachable",
    ),
    "missing secret": (
        lambda: {"model": {"credentialsSecretRef": {"name": "no-such-secret"}}},
        "WeightsCached",
        "SecretMissing",
    ),
    "image that cannot be pulled": (
        lambda: {"engine": {"image": "images.invalid/no/such:image"}},
        "WorkersReady",
        "ImageNotPullable",
    ),
    "slice that no node offers": (
        lambda: {"slice": {"resource": "nvidia.com/mig-7g.80gb"}},
        "CapacityAvailable",
        "NoNodeWithProfile",
    ),
}
"""Name → the edit, the condition that tells of it, and its reason."""


def test_what_only_the_operator_can_know_is_told_while_the_workers_serve_on(
    given: Given, when: When, then: Then
) -> None:
    """One pool goes through all of them: each next edit takes the one before back."""
    pool = given.a_pool("chat")
    serving = {pod["metadata"]["uid"] for pod in pool.workers()}
    good = pools.manifest("chat")["spec"]
    for name, (edit, condition, reason) in TROUBLES.items():
        body = pools.manifest("chat")
        for part, fields in edit().items():
            body["spec"][part] = {**good[part], **fields}
        when.applied(body)
        told = then.says(pool, condition, "False", reason, within=150)  # a Secret is told as missing by the kubelet
        assert len(told["message"]) > 20, f"{name}: {told['message']}"
        then.says(pool, "Ready", "False")
        now = {pod["metadata"]["uid"] for pod in pool.workers()}
        assert serving <= now, f"{name}: {len(serving - now)} workers have gone"
        then.the_endpoint_answers(pool)
    when.applied(pools.manifest("chat"))
    then.is_ready(pool)
    then.has_workers(pool, a=1, b=1, c=1)
    assert {pod["metadata"]["uid"] for pod in pool.workers()} == serving


def test_a_new_pool_waits_for_its_claim_and_starts_by_itself_when_it_is_there(
    story: Story, given: Given, when: When, then: Then
) -> None:
    cache = {"persistentVolumeClaim": {"claimName": "weights"}}
    pool = when.applied(pools.manifest("chat", replicas=1, zones=None, cache=cache))
    then.says(pool, "WeightsCached", "False", "ClaimMissing", ["'weights'", "create it"])
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "weights"},
        "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "100Mi"}}},
    }
    story.kubectl("apply", "-f", "-", stdin=json.dumps(claim))
    then.is_ready(pool, within=120)


def test_a_quota_that_has_no_room_is_told_and_left_when_there_is_room(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat")
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "slices"},
        "spec": {"hard": {"requests.nvidia.com/mig-1g.10gb": "3"}},
    }
    story.kubectl("apply", "-f", "-", stdin=json.dumps(quota))
    eventually("the quota is counted", lambda: _counted(story), within=30)
    when.kubectl("scale", "ipool/chat", "--replicas=4")
    then.says(pool, "WorkersReady", "False", "QuotaExceeded", ["exceeded quota"])
    then.workers_stay(pool, seconds=4)
    when.kubectl("delete", "resourcequota", "slices")
    then.is_ready(pool, within=150)
    assert sum(pool.ready_by_zone().values()) == 4


def _counted(story: Story) -> None:
    found = story.api.get("resourcequotas", "slices", story.namespace) or {}
    assert "used" in found.get("status", {}), "not yet"


def test_a_new_revision_that_never_becomes_ready_is_taken_back_after_its_deadline(
    given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", rollout={"progressDeadline": "20s"})
    old = pool.status()["revisions"]["stable"]
    when.edited(pool, model={"source": f"{MODELS}/nothing.gguf"})
    then.says(pool, "Degraded", "True", "RolledBack", ["spec.rollout.progressDeadline"], within=90)
    then.says(pool, "Stalled", "True", "RolledBack")
    then.says(pool, "Ready", "False", "RolledBack")
    then.has_workers(pool, a=1, b=1, c=1)
    then.all_run(pool, old)
    when.edited(pool, model=pools.model("tiny"))
    then.is_ready(pool)
    assert _revisions_in_use(pool) == {old}


def _revisions_in_use(pool: Pool) -> set[str]:
    return set((pool.status().get("revisions") or {}).values())
