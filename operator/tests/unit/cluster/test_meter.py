"""What is counted between two looks at the gateway's pods, and what is void."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.cluster.meter import NOT_LOOKED, Meter, about_of
from slicewise.envoy.measurement import Counts, NoData, Reading
from slicewise.pool.rollout.evidence import MOST_COMPARED

STABLE, CANARY = "old", "new"


def status(reads: int = 0, **rollout: Any) -> PoolStatus:
    verdict = {"since": "2026-01-01T00:00:00Z", "reads": reads}
    return PoolStatus.read(
        {"rollout": {"phase": "Analysing", "target": CANARY, "step": 0, "verdict": verdict, **rollout}}
    )


def reading(canary: int, stable: int = 0, *, slow: int = 0, uptime: int = 100, **more: int) -> Reading:
    counts = Counts(tries=canary, timed=canary, slow=slow, **more)
    return Reading(uptime, {CANARY: counts, STABLE: Counts(tries=stable, timed=stable)})


def looked(*looks: Mapping[str, Reading | NoData]) -> Meter:
    meter = Meter()
    meter.offer(status())
    for second, answers in enumerate(looks):
        meter.add(answers, STABLE, CANARY, float(second))
    return meter


def counted(meter: Meter) -> tuple[int, int]:
    tally = meter.offer(status()).tally
    return tally.canary.requests, tally.stable.requests


def test_nobody_is_judged_outside_an_analysis() -> None:
    assert about_of(PoolStatus()) is None
    assert about_of(status(phase="Promoting")) is None
    assert about_of(status(verdict=None)) is None
    assert about_of(status()) is not None


def test_the_first_reading_of_a_pod_is_only_a_base() -> None:
    meter = looked({"a": reading(1000, 5000)}, {"a": reading(1001, 5009)}, {"a": reading(1003, 5019)})
    assert counted(meter) == (3, 19)
    assert meter.offer(status()).seconds == 2
    assert meter.offer(status()).trouble == ""


def test_pods_are_added_up_and_one_that_comes_later_counts_from_its_second_look_on() -> None:
    meter = looked(
        {"a": reading(0)},
        {"a": reading(0)},
        {"a": reading(1), "b": reading(500)},
        {"a": reading(2), "b": reading(500)},
        {"a": reading(3), "b": reading(510)},
    )
    assert counted(meter) == (13, 0)


def test_before_the_first_look_nothing_is_known() -> None:
    meter = Meter()
    assert meter.offer(status()).trouble == NOT_LOOKED


def test_without_a_ready_pod_there_is_no_data() -> None:
    assert looked({}).offer(status()).trouble == "no gateway pod is ready"


def test_a_pod_that_does_not_answer_for_a_while_loses_nothing() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": NoData("10.0.0.9:9090 cannot be read")})
    assert meter.offer(status()).trouble == "10.0.0.9:9090 cannot be read"
    meter.add({"a": reading(7)}, STABLE, CANARY, 3)
    assert counted(meter) == (7, 0)
    assert meter.offer(status()).trouble == ""


@pytest.mark.parametrize("broken", [reading(3, uptime=1), reading(1)])
def test_counters_that_went_back_void_their_interval(broken: Reading) -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(5)}, {"a": broken})
    assert counted(meter) == (5, 0)


def test_an_interval_of_which_half_is_unknown_is_void_as_a_whole() -> None:
    half = Reading(100, {CANARY: Counts(tries=5, timed=5), STABLE: NoData("another limit")})
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": half})
    assert counted(meter) == (0, 0)
    assert meter.offer(status()).trouble == "another limit"


def test_counts_that_cannot_be_are_said_and_not_counted() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(1, slow=2)})
    assert counted(meter) == (0, 0)
    assert "contradict" in meter.offer(status()).trouble


def test_what_is_written_is_not_offered_again_and_the_base_stays() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(5)})
    offered = meter.offer(status())
    assert (offered.reads, offered.tally.canary.requests) == (3, 5)
    assert meter.offer(status(3)).tally.canary.requests == 0
    meter.add({"a": reading(9)}, STABLE, CANARY, 3)
    assert meter.offer(status(3)).tally.canary.requests == 4


def test_numbers_of_another_leader_drop_what_was_counted_beside_it() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(5)})
    assert meter.offer(status(40)).tally.canary.requests == 0


def test_another_step_or_attempt_begins_with_a_new_base() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(5)})
    assert meter.offer(status(0, step=1)).trouble == NOT_LOOKED
    meter.add({"a": reading(50)}, STABLE, CANARY, 3)
    assert meter.offer(status(0, step=1)).tally.canary.requests == 0


def test_a_request_that_is_tried_again_counts_once() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(10, retried=3)})
    assert counted(meter) == (7, 0)


def test_what_is_refused_or_left_is_counted_apart() -> None:
    canary = looked({"a": reading(0)}, {"a": reading(10, refused=3, left=2)}).offer(status()).tally.canary
    assert (canary.requests, canary.refused, canary.left) == (5, 3, 2)


def test_a_request_has_settled_when_the_limit_has_passed_between_the_end_of_one_look_and_the_beginning_of_another() -> (
    None
):
    meter = Meter()
    meter.offer(status())
    settled = []
    for second, begun in enumerate([0, 10, 20, 30, 40]):
        meter.add({"a": reading(begun)}, STABLE, CANARY, second + 0.3, asked=float(second), limit=2.0)
        settled.append(meter.offer(status()).tally.canary.settled)
    assert settled == [0, 0, 0, 0, 10], "of those begun by 1.3 it is known at 4.0, not at 3.0"


def test_what_had_not_settled_when_a_pod_started_anew_never_does() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(50)}, {"a": reading(0, uptime=1)}, {"a": reading(8, uptime=2)})
    assert meter.offer(status()).tally.canary.settled == 58
    late = Meter()
    late.offer(status())
    for second, (begun, uptime) in enumerate([(0, 9), (50, 10), (0, 1), (8, 2), (8, 3), (8, 4)]):
        late.add({"a": reading(begun, uptime=uptime)}, STABLE, CANARY, float(second), limit=2.0)
    assert late.offer(status()).tally.canary.settled == 8


def test_what_runs_beyond_the_limit_is_as_of_the_latest_look_and_of_all_pods() -> None:
    meter = looked({"a": reading(9), "b": reading(9)}, {"a": reading(9, pending=3), "b": reading(9, pending=4)})
    assert meter.offer(status()).pending == 7
    meter.add({"a": reading(9, pending=1), "b": reading(9)}, STABLE, CANARY, 3)
    assert meter.offer(status()).pending == 1


def test_refusals_are_compared_by_the_share_that_was_asked_for_or_more_if_more_came() -> None:
    def evidence(weight: int, canary: int, stable: int) -> float:
        meter = Meter()
        meter.offer(status(weight=weight))
        meter.add({"a": reading(0)}, STABLE, CANARY, 0)
        meter.add({"a": reading(canary, stable, refused=1)}, STABLE, CANARY, 1)
        return max(meter.offer(status(weight=weight)).tally.refused_ratios)

    assert evidence(5, 5, 95) > evidence(25, 5, 95) > evidence(5, 80, 20) > 0
    assert evidence(5, 5, 0) == 0, "nobody to compare with"


@pytest.mark.parametrize("seed", range(20))
def test_no_request_is_counted_twice_however_it_is_read(seed: int) -> None:
    """Two pods, restarts, lost reads: what the tally has is never more than what happened."""
    draw = random.Random(seed)
    truth = {"begun": 0, "slow": 0, "refused": 0}
    pods = {uid: {"begun": 0, "slow": 0, "refused": 0, "uptime": 0, "was": 0} for uid in "ab"}
    meter = Meter()
    meter.offer(status())
    last = (0, 0, 0)
    for second in range(200):
        answers: dict[str, Reading | NoData] = {}
        for uid, pod in pods.items():
            pod["uptime"] += 1
            if draw.random() < 0.05:
                pod.update(begun=0, slow=0, refused=0, uptime=0, was=0)
            for name in ("begun", "slow", "refused"):
                more = draw.randrange(4)
                pod[name] += more
                truth[name] += more
            pod["begun"] += pod["slow"] - pod["was"]
            truth["begun"] += pod["slow"] - pod["was"]
            pod["was"] = pod["slow"]
            numbers = reading(pod["begun"] + pod["refused"], 100 * second, slow=pod["slow"], refused=pod["refused"])
            answers[uid] = replace(numbers, uptime=pod["uptime"]) if draw.random() < 0.9 else NoData("silent")
        meter.add(answers, STABLE, CANARY, float(second), limit=draw.choice([0.0, 3.0]))
        seen = meter.offer(status()).tally.canary
        now = (seen.timed, seen.slow, seen.refused)
        assert all(after >= before for after, before in zip(now, last, strict=True))
        assert seen.slow <= truth["slow"]
        assert seen.refused <= truth["refused"]
        assert seen.settled <= seen.requests <= truth["begun"]
        last = now


def test_counters_of_more_requests_than_can_have_been_are_void_and_cost_no_time() -> None:
    """They come from outside: an event loop that adds them up for minutes would serve no other pool."""
    most = MOST_COMPARED
    start = {"a": reading(0, 0)}
    within = looked(start, {"a": reading(most, most, slow=most // 2)})
    assert counted(within) == (most, most)
    beyond = looked(start, {"a": reading(most + 1, 1, slow=most // 2)})
    assert counted(beyond) == (0, 0)
    assert f"{most + 1} requests between two reads" in beyond.trouble


def test_a_job_speaks_for_a_pass_once_it_has_ended_and_never_for_a_latency() -> None:
    meter = Meter()
    meter.offer(status())
    jobs = [{"jobs": 0}, {"jobs": 0}, {"jobs": 20}, {"jobs": 20, "jobs_ended": 5, "jobs_refused": 1, "refused": 2}]
    for second, (tries, more) in enumerate(zip((0, 0, 30, 30), jobs, strict=True)):
        counts = Counts(tries=tries, **more)
        answers = {"a": Reading(100, {CANARY: counts, STABLE: Counts()})}
        meter.add(answers, STABLE, CANARY, float(second), limit=0.5)
    found = meter.offer(status()).tally.canary
    # Ten of clients, of which one was refused; twenty jobs, of which one was refused and five have ended.
    assert (found.requests, found.refused) == (28, 2)
    assert (found.settled_here, found.settled) == (9, 14)
