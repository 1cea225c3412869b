"""A zone that has more workers than it is to have, and a worker that waits there for a slice."""

from __future__ import annotations

from slicewise.pool.rollout.keeping import ZoneWorkers
from slicewise.pool.rollout.steps import replace_step
from slicewise.pool.zones import ZoneTarget

CROWDED = ZoneWorkers(old=1, old_serving=1, new=1, new_serving=0, new_unplaced=1, short=1)
"""As when a canary is taken back where the stable revision's worker has begun to wait for its slice."""


def test_a_worker_that_finds_no_slice_gets_the_place_of_one_too_many() -> None:
    targets = [ZoneTarget("a", 1, 0), ZoneTarget("b", 1, 0)]
    assert replace_step(targets, {"a": CROWDED, "b": ZoneWorkers(new=1, new_serving=1)}).old == {"a": 0, "b": 0}


def test_it_does_not_where_no_other_worker_serves_of_several() -> None:
    targets = [ZoneTarget("a", 1, 0), ZoneTarget("b", 1, 0)]
    step = replace_step(targets, {"a": CROWDED, "b": ZoneWorkers(new=1, new_serving=0)})
    assert (step.old["a"], step.blocked) == (1, ())


def test_it_does_not_below_the_floor() -> None:
    step = replace_step([ZoneTarget("a", 1, 1)], {"a": CROWDED})
    assert (step.old, step.blocked) == ({"a": 1}, ("a",))
