"""What is counted between two looks at the gateway's pods, and what is void."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from slicewise.controller.meter import NOT_LOOKED, Meter, about_of
from slicewise.gateway.measurement import Counts, NoData, Reading

STABLE, CANARY = "old", "new"


def status(reads: int = 0, **rollout: Any) -> dict[str, Any]:
    verdict = {"since": "2026-01-01T00:00:00Z", "reads": reads}
    return {"rollout": {"phase": "Analysing", "target": CANARY, "step": 0, "verdict": verdict, **rollout}}


def reading(canary: int, stable: int = 0, *, failed: int = 0, uptime: int = 100) -> Reading:
    return Reading(uptime, {CANARY: Counts(canary, failed, canary, 0), STABLE: Counts(stable, 0, stable, 0)})


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
    assert about_of({}) is None
    assert about_of(status(phase="Promoting")) is None
    assert about_of(status(verdict=None)) is None
    assert about_of(status()) is not None


def test_the_first_two_readings_of_a_pod_are_only_a_base() -> None:
    meter = looked({"a": reading(1000, 5000)}, {"a": reading(1001, 5009)}, {"a": reading(1003, 5019)})
    assert counted(meter) == (2, 10)
    assert meter.offer(status()).seconds == 2
    assert meter.offer(status()).trouble == ""


def test_pods_are_added_up_and_one_that_comes_later_counts_from_its_third_look_on() -> None:
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
    half = Reading(100, {CANARY: Counts(5, 0, 5, 0), STABLE: NoData("the histogram has no edge")})
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": half})
    assert counted(meter) == (0, 0)
    assert meter.offer(status()).trouble == "the histogram has no edge"


def test_counts_that_cannot_be_are_said_and_not_counted() -> None:
    meter = looked({"a": reading(0)}, {"a": reading(0)}, {"a": reading(1, failed=2)})
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
