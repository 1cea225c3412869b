"""Pools that go, come back, and stand side by side."""

from __future__ import annotations

from e2e.support import pool as pools
from e2e.support.api import Object
from e2e.support.given import Given
from e2e.support.polling import eventually, patiently
from e2e.support.pool import Pool, device_of
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When


def test_nothing_is_left_of_a_pool_that_is_deleted(given: Given, when: When, then: Then) -> None:
    given.a_pool("chat")
    when.kubectl("delete", "ipool", "chat")
    then.nothing_is_left_of("chat")


def test_a_pool_deleted_in_the_foreground_goes_after_its_workers(given: Given, when: When, then: Then) -> None:
    """As Argo CD deletes."""
    given.a_pool("chat", replicas=1, zones=None)
    when.kubectl("delete", "ipool", "chat", "--cascade=foreground", patiently(90))
    then.nothing_is_left_of("chat", within=5)


def test_a_pool_deleted_and_made_again_at_once_becomes_ready(
    story: Story, given: Given, when: When, then: Then
) -> None:
    first = given.a_pool("chat")
    uid = first.object()["metadata"]["uid"]
    old = {pod["metadata"]["uid"] for pod in first.pods()}
    when.kubectl("delete", "ipool", "chat", "--wait=false")
    again = when.applied(pools.manifest("chat"))
    then.is_ready(again, within=180)
    now = again.object()["metadata"]["uid"]
    assert now != uid
    then.has_workers(again, a=1, b=1, c=1)
    assert not old & {pod["metadata"]["uid"] for pod in again.workers()}
    for kind in ("deployments", "services", "poddisruptionbudgets", "serviceaccounts"):
        owners = {owner["uid"] for item in again.children(kind) for owner in item["metadata"]["ownerReferences"]}
        assert owners == {now}, f"{kind} are owned by {owners}"


def test_two_pools_side_by_side_never_share_a_slice(given: Given, when: When, then: Then) -> None:
    one = given.a_pool("one")
    two = given.a_pool("two", model=pools.model("wordy"))
    then.no_device_is_held_twice(one, two)
    assert len({device_of(pod) for pool in (one, two) for pod in pool.workers()}) == 6
    # All six slices are taken: what one of them wants more, it does not get from the other.
    when.kubectl("scale", "ipool/one", "--replicas=4")
    then.says(one, "CapacityAvailable", "False", "NotEnoughSlices", ["1 of 4 slices"])
    then.workers_stay(two, seconds=4)
    then.is_ready(two, within=1)
    assert then.the_endpoint_answers(two).startswith("Wordy one")
    when.kubectl("delete", "ipool", "two")
    then.is_ready(one, within=90)


def test_a_child_that_somebody_deletes_or_changes_comes_back(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=1, zones=None)
    deployment = _with_a_worker(pool)["metadata"]["name"]
    budget = pool.children("poddisruptionbudgets")[0]["metadata"]["name"]
    when.kubectl("delete", "service/chat", f"poddisruptionbudget/{budget}", "networkpolicy/chat-worker", "--wait=false")
    when.kubectl("scale", "deployment", deployment, "--replicas=3")

    def mended() -> None:
        assert story.api.get("services", "chat", story.namespace), "no Service"
        assert story.api.get("poddisruptionbudgets", budget, story.namespace), "no budget"
        assert story.api.get("networkpolicies", "chat-worker", story.namespace), "no NetworkPolicy"
        assert _with_a_worker(pool)["spec"]["replicas"] == 1, "3 replicas"

    eventually("the children are as they were", mended, within=30)
    then.is_ready(pool)
    then.the_endpoint_answers(pool)


def _with_a_worker(pool: Pool) -> Object:
    workers = [
        item for item in pool.children("deployments") if item["metadata"]["labels"]["slicewise.dev/role"] == "worker"
    ]
    [found] = [item for item in workers if item["spec"]["replicas"] > 0]
    return found
