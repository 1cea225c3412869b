"""The cache is complete once every listed object came through its handler, however many pages the list had."""

from __future__ import annotations

import time

from builders import pool_object

from slicewise.clients.resources import POOLS, WATCHED
from slicewise.controller.cache import Cache
from slicewise.controller.intake import Intake
from slicewise.controller.wake import WakeQueue
from slicewise.telemetry.health import WatchLife


def stored_pool(name: str) -> dict[str, object]:
    body = pool_object(name)
    body["metadata"] |= {"uid": f"uid-{name}", "resourceVersion": "7", "generation": 1}
    return body


def make_intake() -> Intake:
    return Intake(Cache(), WakeQueue(time.monotonic), WatchLife(time.monotonic), ())


def list_nothing_else(intake: Intake) -> None:
    for resource in WATCHED:
        if resource is not POOLS:
            intake.listed(resource.path(), "9", set())


def test_objects_of_a_first_page_come_through_before_the_list_is_complete() -> None:
    intake = make_intake()
    list_nothing_else(intake)
    intake.page(POOLS.path(), {"uid-first"})
    intake.take(POOLS, None, stored_pool("first"))
    assert not intake.complete.is_set()
    intake.page(POOLS.path(), {"uid-second"})
    intake.listed(POOLS.path(), "9", {"uid-first", "uid-second"})
    assert not intake.complete.is_set()
    intake.take(POOLS, None, stored_pool("second"))
    assert intake.complete.is_set()


def test_objects_of_the_only_page_come_through_after_the_list() -> None:
    intake = make_intake()
    list_nothing_else(intake)
    intake.page(POOLS.path(), {"uid-first"})
    intake.listed(POOLS.path(), "9", {"uid-first"})
    assert intake.missing() is not None
    intake.take(POOLS, None, stored_pool("first"))
    assert intake.missing() is None


def test_a_forbidden_namespace_is_not_served_and_holds_up_no_other() -> None:
    intake = Intake(Cache(), WakeQueue(time.monotonic), WatchLife(time.monotonic), ("open", "closed"))
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
