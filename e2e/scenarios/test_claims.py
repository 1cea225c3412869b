"""Weights on a claim: one download for all workers, a list of what must stay, and changes that the storage refuses."""

from __future__ import annotations

import json
from typing import Any

from e2e.support import pool as pools
from e2e.support.api import Object
from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

TEMPLATE = {"storageClassName": "standard", "accessModes": ["ReadWriteOnce"], "size": "100Mi"}
"""Of the cluster's own class, whose volumes stay on one node and cannot grow."""


def test_workers_that_share_a_claim_download_once(story: Story, given: Given, when: When, then: Then) -> None:
    """docs/examples/shared-cache.yaml in one zone, whose only node lets a ReadWriteOnce claim be shared."""
    path = "/slow/4194301/wordy.gguf"  # the rate is this story's own, so its downloads are told apart
    body = given.an_example("shared-cache.yaml")
    body["spec"]["model"] = {**pools.model("wordy"), "source": f"{pools.MODELS}{path}"}
    body["spec"]["engine"] = {"contextTokens": 512}
    body["spec"]["replicas"] = 2
    body["spec"]["zones"] = {"names": ["a"]}
    body["spec"]["cache"]["persistentVolumeClaim"]["template"].update(TEMPLATE)
    before = _requests(story, path)  # of a run of the stories before this one
    pool = when.applied(body)
    then.is_ready(pool, within=150)
    then.has_workers(pool, a=2)
    downloads = [line for line in _requests(story, path) if line not in before]
    assert len(downloads) == 1, downloads
    assert [item["metadata"]["name"] for item in pool.children("persistentvolumeclaims")] == ["shared-cache-weights"]


def _requests(story: Story, path: str) -> list[str]:
    """Return the lines that the servers of models have written about requests for `path`."""
    pods = story.api.all("pods", "slicewise-e2e", "app=models")
    logs = [story.api.log("slicewise-e2e", pod["metadata"]["name"]) for pod in pods]
    return [line for log in logs for line in log.splitlines() if f"GET {path}" in line]


def test_a_claim_lists_what_must_stay_says_what_the_storage_refuses_and_outlives_the_move_to_another_cache(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=1, zones={"names": ["a"]}, cache=claim())
    assert live(pool) == [pools.model("tiny")]
    when.edited(pool, model=pools.model("wordy"))
    eventually("both models must stay", lambda: _listed(pool, "tiny", "wordy"), within=60)
    then.is_ready(pool)
    eventually("only the new one must stay", lambda: _listed(pool, "wordy"), within=60)

    serving = {pod["metadata"]["uid"] for pod in pool.workers()}
    when.edited(pool, cache=claim(size="200Mi"))
    then.says(pool, "Ready", "False", "ApplyFailed", ["PersistentVolumeClaim chat-weights", "resize"])
    then.says(pool, "Stalled", "True", "ApplyFailed")
    then.says(pool, "WorkersReady", "True")
    assert serving == {pod["metadata"]["uid"] for pod in pool.workers()}

    when.edited(pool, cache={"persistentVolumeClaim": None, "emptyDir": {"sizeLimit": "100Mi"}})
    then.is_ready(pool)
    eventually("no list is left", lambda: _no_list(pool), within=30)
    assert [item["metadata"]["name"] for item in pool.children("persistentvolumeclaims")] == ["chat-weights"]
    when.kubectl("delete", "ipool", "chat")
    then.nothing_is_left_of("chat")


def test_what_the_storage_class_cannot_do_is_told_in_its_own_words(story: Story, when: When, then: Then) -> None:
    cache = claim(accessModes=["ReadWriteMany"])
    pool = when.applied(pools.manifest("chat", replicas=1, zones={"names": ["a"]}, cache=cache))
    told = then.says(
        pool, "WeightsCached", "False", "ClaimPending", ["'chat-weights'", "ProvisioningFailed"], within=90
    )
    then.says(pool, "Stalled", "True", "ClaimPending", ["ReadWriteOnce"])
    assert "recreate the pool with another template" in told["message"]


def claim(**differs: Any) -> dict[str, Any]:
    return {"persistentVolumeClaim": {"template": {**TEMPLATE, **differs}}}


def live(pool: Pool) -> list[dict[str, str]]:
    """What the fetcher may not evict."""
    [found] = _lists(pool)
    entries: list[dict[str, str]] = json.loads(found["data"]["live.json"])
    return entries


def _listed(pool: Pool, *names: str) -> None:
    assert {item["source"] for item in live(pool)} == {pools.model(name)["source"] for name in names}, live(pool)


def _no_list(pool: Pool) -> None:
    assert not _lists(pool), "the list is there"


def _lists(pool: Pool) -> list[Object]:
    """The list of live weights; the gateway's configuration is another ConfigMap."""
    return [item for item in pool.children("configmaps") if item["metadata"]["name"] == f"{pool.name}-weights"]
