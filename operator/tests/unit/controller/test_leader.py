"""Who may take the lease."""

from __future__ import annotations

from typing import Any

from slicewise.controller.leader import LeaseConfig, Sighting, judge

ME = LeaseConfig("slicewise-system", "slicewise-operator", "me", duration=15)


def lease(holder: str, duration: int = 15) -> dict[str, Any]:
    return {"spec": {"holderIdentity": holder, "leaseDurationSeconds": duration}}


def seen(since: float) -> Sighting:
    return Sighting(("other", "", ""), since)


def test_a_lease_that_nobody_holds_is_taken() -> None:
    assert judge(ME, None, None, 0) == "take"
    assert judge(ME, lease(""), seen(0), 0) == "take"


def test_ones_own_lease_is_renewed() -> None:
    assert judge(ME, lease("me"), seen(0), 0) == "take"


def test_another_replicas_lease_is_left_until_it_has_not_changed_for_its_whole_duration() -> None:
    assert judge(ME, lease("other"), seen(100), 114.9) == "wait"
    assert judge(ME, lease("other"), seen(100), 115) == "take"


def test_a_lease_never_looked_at_before_is_left() -> None:
    assert judge(ME, lease("other"), None, 1e9) == "wait"


def test_the_holders_own_duration_counts_where_it_is_longer() -> None:
    assert judge(ME, lease("other", 60), seen(0), 59) == "wait"


def test_a_wall_clock_says_nothing() -> None:
    old = lease("other") | {"spec": lease("other")["spec"] | {"renewTime": "1999-01-01T00:00:00.000000Z"}}
    assert judge(ME, old, seen(100), 101) == "wait"
