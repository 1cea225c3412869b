"""A new model takes over worker by worker; going back gives back what was."""

from __future__ import annotations

import json
from typing import Any

from e2e.support.api import Object
from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool, model, revision_of
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.when import When

FLOORS = {"a": 1, "b": 1, "c": 1}


def revisions(story: Story, pool: Pool) -> dict[str, Object]:
    """The stored revisions by name."""
    return {item["metadata"]["name"]: item for item in story.api.all("controllerrevisions", pool.namespace)}


def to_the_byte(revision: Object) -> str:
    """Everything of an object, as the API server has it."""
    return json.dumps(revision, sort_keys=True)


def test_a_model_changes_under_load_without_a_failed_request_and_comes_back_to_the_byte(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", model=model("wordy"))
    old = pool.status()["revisions"]["stable"]
    stored = revisions(story, pool)
    floors = given.an_eye_on_the_floors_of(pool)
    load = given.load_on(pool)

    when.edited(pool, model=model("wordy-v2"))
    then.is_ready(pool, within=240)
    new = pool.status()["revisions"]["stable"]
    assert new != old
    then.has_workers(pool, a=1, b=1, c=1)
    then.all_run(pool, new)
    load.goes_on_for(10)
    texts = [request["text"] for request in load.requests() if "text" in request]
    assert texts[0].startswith("Wordy one")
    assert texts[-1].startswith("Wordy two")

    when.edited(pool, model=model("wordy"))
    then.is_ready(pool, within=240)
    assert pool.status()["revisions"]["stable"] == old
    then.has_workers(pool, a=1, b=1, c=1)
    then.all_run(pool, old)
    again = revisions(story, pool)
    name = f"chat-{old}"
    assert to_the_byte(again[name]) == to_the_byte(stored[name])
    assert set(again) == {f"chat-{old}", f"chat-{new}"}
    then.no_request_failed(load, at_least=60)
    then.floors_held(floors, **FLOORS)


def test_a_model_change_waits_where_nothing_may_give_way_and_goes_through_when_something_may(
    story: Story, given: Given, when: When, then: Then
) -> None:
    pool = given.a_pool("chat", replicas=6, zones={"minAvailable": 2})
    old = pool.status()["revisions"]["stable"]
    when.edited(pool, engine={"contextTokens": 256})
    then.says(pool, "RolloutProgressing", "False", "NoSliceToSpare", ["spec.zones.minAvailable"])
    then.workers_stay(pool)
    then.all_run(pool, old)

    when.edited(pool, zones={"minAvailable": 1})
    floors = given.an_eye_on_the_floors_of(pool)
    then.is_ready(pool, within=240)
    assert pool.status()["revisions"]["stable"] != old
    then.no_device_is_held_twice(pool)
    then.has_workers(pool, a=2, b=2, c=2)
    then.all_run(pool, pool.status()["revisions"]["stable"])
    then.floors_held(floors, **FLOORS)


def test_a_newer_edit_overtakes_one_that_is_under_way(given: Given, when: When, then: Then) -> None:
    pool = given.a_pool("chat")
    floors = given.an_eye_on_the_floors_of(pool)
    when.edited(pool, engine={"contextTokens": 256})
    eventually("the first edit is under way", lambda: _moving(pool), within=60)
    when.edited(pool, engine={"contextTokens": 384})
    then.is_ready(pool, within=100)
    then.has_workers(pool, a=1, b=1, c=1)
    contexts = {_environment(pod)["SLICEWISE_WORKER_CONTEXT_TOKENS"] for pod in pool.workers()}
    assert contexts == {"384"}
    then.floors_held(floors, **FLOORS)


def _moving(pool: Pool) -> None:
    assert len({revision_of(pod) for pod in pool.pods()}) > 1, "one revision has pods"


def _environment(pod: Object) -> dict[str, Any]:
    return {item["name"]: item.get("value") for item in pod["spec"]["containers"][0]["env"]}
