"""The cache is complete once every collection was listed, and forgets what a list lacks."""

from __future__ import annotations

import time

from builders import pool_object

from slicewise.clients.resources import POOLS, WATCHED
from slicewise.cluster.cache import Cache
from slicewise.controller.intake import Intake
from slicewise.controller.work_queue import WorkQueue
from slicewise.telemetry.health import WatchLife


def stored_pool(name: str) -> dict[str, object]:
    body = pool_object(name)
    body["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "7", "generation": 1}
    return body


def make_intake() -> Intake:
    return Intake(Cache(), WorkQueue(time.monotonic), WatchLife(time.monotonic), ())


def list_nothing_else(intake: Intake) -> None:
    for resource in WATCHED:
        if resource is not POOLS:
            intake.listed(resource.path(), "9", set())


def test_the_cache_is_complete_once_the_last_list_is() -> None:
    intake = make_intake()
    list_nothing_else(intake)
    for name in ("first", "second"):
        intake.item(POOLS.path(), stored_pool(name))
    assert POOLS.path() in str(intake.missing())
    intake.listed(POOLS.path(), "9", {"uid-first", "uid-second"})
    assert intake.complete.is_set()
    assert intake.missing() is None


def test_a_later_list_ends_what_vanished_unseen() -> None:
    cache = Cache()
    intake = Intake(cache, WorkQueue(time.monotonic), WatchLife(time.monotonic), ())
    intake.item(POOLS.path(), stored_pool("first"))
    intake.listed(POOLS.path(), "9", {"uid-first"})
    assert [name for _, name in cache.existing()] == ["first"]
    intake.listed(POOLS.path(), "10", set())
    assert list(cache.existing()) == []


def test_a_forbidden_namespace_is_not_served_and_holds_up_no_other() -> None:
    intake = Intake(Cache(), WorkQueue(time.monotonic), WatchLife(time.monotonic), ("open", "closed"))
    for resource in WATCHED:
        for namespace in ("open", "closed") if resource.namespaced else (None,):
            if namespace == "closed":
                intake.forbidden(resource.path(namespace))
            else:
                intake.listed(resource.path(namespace), "9", set())
    assert intake.complete.is_set()
    assert intake.readable("open")
    assert not intake.readable("closed")
    for resource in WATCHED:
        if resource.namespaced:
            intake.listed(resource.path("closed"), "10", set())
    assert intake.readable("closed")
