"""A pool whose number of workers follows its load: what is planned, what the status and the Events say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import make_node, make_observed, make_pod, make_pool, three_zones

from slicewise.autoscaling.window import NOT_READ, Load
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool
from slicewise.pool.revision import revision_hash, revision_inputs

NOW = 1_800_000_000.0
STABLE = revision_hash(revision_inputs(make_pool().spec))


def busy(requests: int, peak: int | None = None, covered: float = 1e6) -> Load:
    """Requests now, and the most of the latest time; known for `covered` seconds."""
    return Load(requests, ((0.0, max(requests, peak or 0)),), covered, (), "")


def planned(
    load: Load,
    *,
    scaling: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    observed: dict[str, Any] | None = None,
    **spec: Any,
) -> PoolPlan:
    pool = make_pool(autoscaling={"maxReplicas": 6, **(scaling or {})}, **spec)
    pods = [make_pod(f"w-{zone}", STABLE, zone) for zone in "abc"]
    fields = {"pods": tuple(pods), "load": load, "status": status or {}, **(observed or {})}
    return plan_pool(pool, make_observed(**fields), NOW)


def workers(plan: PoolPlan) -> int:
    """Replicas over all Deployments of workers."""
    return sum(
        child["spec"]["replicas"]
        for child in plan.children or ()
        if child["kind"] == "Deployment" and not child["metadata"]["name"].endswith("-gateway")
    )


def condition(plan: PoolPlan) -> dict[str, Any]:
    found: list[dict[str, Any]] = [
        dict(item) for item in plan.status["conditions"] if item["type"] == "AutoscalingActive"
    ]
    return found[0] if found else {}


def test_the_load_decides_and_the_spec_is_left_alone() -> None:
    plan = planned(busy(13), replicas=3)

    assert (workers(plan), plan.status["desired"], plan.status["autoscaling"]["desired"]) == (5, 5, 5)
    assert (condition(plan)["status"], condition(plan)["reason"]) == ("True", "FollowsLoad")
    assert plan.scaling is not None
    assert (plan.scaling.wanted, plan.scaling.requests, plan.scaling.acts) == (5, 13, True)


def test_a_target_of_the_users_own_counts() -> None:
    assert workers(planned(busy(13), scaling={"targetRequestsPerWorker": 13})) == 1
    assert workers(planned(busy(13), scaling={"targetRequestsPerWorker": "4"})) == 4


def test_a_pool_without_the_field_has_neither_condition_nor_numbers() -> None:
    plan = plan_pool(make_pool(), make_observed(load=busy(100)), NOW)

    assert (condition(plan), plan.scaling, "autoscaling" in plan.status) == ({}, None, False)
    assert workers(plan) == 3


def test_the_number_in_the_status_stays_while_the_load_is_not_known() -> None:
    lost = Load(trouble="the gateway is away", troubled=60.0)
    plan = planned(lost, status={"autoscaling": {"desired": 4}, "desired": 4}, replicas=1)

    assert workers(plan) == 4
    assert condition(plan)["status"] == "False"
    assert condition(plan)["reason"] == "LoadUnknown"
    assert "the gateway is away" in condition(plan)["message"]


def test_a_new_leader_says_what_was_said_until_it_has_counted() -> None:
    stored = {
        "type": "AutoscalingActive",
        "status": "True",
        "reason": "FollowsLoad",
        "message": "4 workers",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    plan = planned(Load(), status={"autoscaling": {"desired": 4}, "conditions": [stored]})

    assert {key: condition(plan)[key] for key in ("reason", "message")} == {
        "reason": "FollowsLoad",
        "message": "4 workers",
    }
    assert condition(planned(Load()))["message"].endswith(NOT_READ)


def test_a_pool_that_gets_the_field_begins_with_the_workers_that_it_has() -> None:
    assert workers(planned(Load(), status={"desired": 5})) == 5
    assert workers(planned(Load(), replicas=4)) == 4
    assert workers(planned(Load())) == 1


def test_advice_is_shown_and_replicas_hold() -> None:
    plan = planned(busy(13), scaling={"mode": "Advise"}, replicas=2, status={"autoscaling": {"desired": 1}})

    assert (workers(plan), plan.status["desired"], plan.status["autoscaling"]["desired"]) == (2, 2, 5)
    assert condition(plan)["reason"] == "AdviceOnly"
    assert "5 workers" in condition(plan)["message"]
    assert [event.reason for event in plan.events if event.reason.startswith("Scal")] == ["ScalingAdvised"]
    assert plan.scaling is not None
    assert not plan.scaling.acts


def test_what_another_autoscaler_wrote_holds_and_the_condition_names_it() -> None:
    seen = {"scaled_by": "kube-controller-manager"}
    plan = planned(busy(13), replicas=2, observed=seen)

    assert workers(plan) == 2
    assert (condition(plan)["status"], condition(plan)["reason"]) == ("False", "ScaledByAnother")
    assert "kube-controller-manager" in condition(plan)["message"]
    assert workers(planned(busy(13), observed=seen)) == 5, "the field was removed since"


@pytest.mark.parametrize(("spec", "reason"), [({"replicas": 0}, "ScaledToZero"), ({"suspend": True}, "Suspended")])
def test_none_means_none(spec: dict[str, Any], reason: str) -> None:
    plan = planned(busy(13), **spec)

    assert workers(plan) == 0
    assert (condition(plan)["status"], condition(plan)["reason"]) == ("False", reason)
    assert plan.scaling is None


def quiet(idle: float) -> Load:
    """No request now, and none for `idle` seconds for certain."""
    return replace(busy(0), idle=idle)


def asleep(load: Load, desired: int | None, **fields: Any) -> PoolPlan:
    """The plan of a pool that may sleep; `desired`: the number in its status."""
    scaling = {"minReplicas": 0, "idleAfter": "5m"}
    status = {} if desired is None else {"autoscaling": {"desired": desired}, "desired": desired}
    return planned(load, scaling=scaling, status=status, **fields)


def test_a_pool_sleeps_once_no_request_came_for_as_long_as_asked_and_not_by_its_gauges_alone() -> None:
    assert workers(asleep(quiet(299.0), 1)) == 1
    assert workers(asleep(quiet(0.0), 3)) == 1
    assert workers(asleep(replace(quiet(300.0), covered=1.0), 3)) == 0, (
        "no hold is asked for beside the time of the user's own"
    )
    slept = asleep(quiet(300.0), 1)
    assert (workers(slept), slept.status["desired"]) == (0, 0)
    reasons = {item["type"]: item["reason"] for item in slept.status["conditions"]}
    assert (reasons["Accepted"], reasons["AutoscalingActive"]) == ("Accepted", "FollowsLoad")


def test_the_first_request_wakes_the_pool_before_it_has_lasted() -> None:
    held = replace(quiet(0.0), latest=1)

    assert asleep(quiet(9e9), 0).status["desired"] == 0
    assert asleep(held, 0).status["desired"] == 1
    assert asleep(Load(trouble="away", troubled=60.0), 0).status["desired"] == 0


def test_a_pool_that_sleeps_says_so_and_keeps_the_gateway_that_holds_requests() -> None:
    none = {"observed": {"pods": ()}}
    sleeping, awake = asleep(quiet(9e9), 0, **none), asleep(quiet(9e9), 1, **none)
    reasons = {item["type"]: item["reason"] for item in sleeping.status["conditions"]}

    assert reasons["WorkersReady"] == "ScaledToZero"
    (said,) = [item["message"] for item in sleeping.status["conditions"] if item["type"] == "WorkersReady"]
    assert "the next one starts one" in said
    assert sleeping.gateway_version == awake.gateway_version
    assert sleeping.gateway_version != planned(quiet(0.0), replicas=0, **none).gateway_version


def test_while_the_last_workers_end_a_pool_that_goes_to_sleep_waits_for_no_weights() -> None:
    ends = tuple(make_pod(f"w-{zone}", STABLE, zone, ready=False, terminating=True) for zone in "abc")
    plan = asleep(quiet(9e9), 0, observed={"pods": ends})
    assert "WeightsCached" not in {item["type"] for item in plan.status["conditions"]}
    assert not [event for event in plan.events if event.reason == "Pending"]


def test_a_new_pool_that_may_sleep_begins_with_a_worker_and_a_floor_keeps_it_awake() -> None:
    assert asleep(Load(), None).status["desired"] == 1
    assert asleep(quiet(9e9), 3, zones={"minAvailable": 1}).status["desired"] == 3


def test_a_floor_wins_over_a_smaller_number() -> None:
    plan = planned(busy(0), zones={"minAvailable": 1}, status={"autoscaling": {"desired": 3}})

    assert plan.status["desired"] == 3


def test_no_more_are_asked_for_than_there_are_slices() -> None:
    nodes = (make_node("node-a", "a"), make_node("node-b", "b"), make_node("node-c", "c", 0))
    plan = planned(busy(60), observed={"nodes": nodes, "pods": ()})

    assert plan.status["desired"] == 4
    assert condition(plan)["reason"] == "LimitedBySlices"
    (capacity,) = [item for item in plan.status["conditions"] if item["type"] == "CapacityAvailable"]
    assert capacity["status"] == "True"


def test_the_greatest_number_is_said() -> None:
    plan = planned(busy(600), observed={"nodes": three_zones(9)})

    assert plan.status["desired"] == 6
    assert condition(plan)["reason"] == "AtMaxReplicas"


def test_fewer_only_after_the_hold_and_not_while_a_rollout_is_under_way() -> None:
    before = {"autoscaling": {"desired": 3, "coldStartSeconds": 10}, "desired": 3}
    rolling = {
        **before,
        "revisions": {"stable": STABLE, "canary": "other"},
        "rollout": {"phase": "Analysing", "target": "other"},
    }

    assert planned(busy(2, peak=8), status=before).status["desired"] == 3
    assert planned(busy(2, covered=20.0), status=before).status["desired"] == 3
    shrunk = planned(busy(2), status=before)
    assert shrunk.status["desired"] == 1
    assert [event.reason for event in shrunk.events if event.reason.startswith("Scal")] == ["ScaledDown"]
    assert planned(busy(2), status=rolling).status["desired"] == 3
    assert planned(busy(13), status=rolling).status["desired"] == 5


def test_the_cold_start_is_the_median_of_the_workers_and_moves_only_when_it_matters() -> None:
    def told(*seconds: float, known: int | None = None) -> Any:
        pods = tuple(make_pod(f"w-{index}", STABLE, "a", started_in=one) for index, one in enumerate(seconds))
        status = {} if known is None else {"autoscaling": {"coldStartSeconds": known}}
        return planned(busy(2), observed={"pods": pods}, status=status).status["autoscaling"].get("coldStartSeconds")

    assert told(12.0, 90.0, 14.0) == 14
    assert told() is None
    assert told(known=40) == 40
    assert told(44.0, known=40) == 40
    assert told(80.0, known=40) == 80


def test_a_load_that_changes_within_its_number_changes_nothing_in_the_status() -> None:
    first = planned(busy(3), status={"autoscaling": {"desired": 2}}).status
    again = planned(busy(5), status={"autoscaling": {"desired": 2}}).status

    assert first == again
