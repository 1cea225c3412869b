"""Each reason in a worker's termination log is known to the operator, which decides of each whether only the user can mend it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from builders import make_pool
from simulation import Simulation

from slicewise.objects.pods import read_pod
from slicewise.pool.conditions.ends import DEVICE_ENDS, NOT_THE_USER, USER_MENDS
from slicewise.pool.observed import FetchProgress, ObservedPod
from slicewise_worker.engine.ends import EndReason

WORDS = "the model file cannot be served: it is none, take another one"


def test_operator_and_worker_know_the_same_reasons() -> None:
    assert set(EndReason) == set(USER_MENDS) | NOT_THE_USER
    assert not set(USER_MENDS) & NOT_THE_USER


def ends(reason: str, words: str = WORDS) -> dict[str, Any]:
    return {
        "terminated": {"exitCode": 1, "reason": "Error", "message": json.dumps({"reason": reason, "message": words})}
    }


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}}


def states(reason: str) -> list[dict[str, Any]]:
    """The worker container after its first end, while it waits, while it runs again, and after the next end."""
    return [
        {"state": ends(reason), "restartCount": 0},
        {"state": BACK_OFF, "lastState": ends(reason), "restartCount": 1},
        {"state": {"running": {}}, "lastState": ends(reason), "restartCount": 2},
        {"state": ends(reason), "lastState": ends(reason), "restartCount": 3},
        {"state": BACK_OFF, "lastState": ends(reason), "restartCount": 9},
    ]


def seen(pod: ObservedPod, status: dict[str, Any]) -> ObservedPod:
    """What the operator reads of a pod whose worker container has that status."""
    metadata = {"name": pod.name, "uid": pod.uid, "labels": {}}
    body = {"metadata": metadata, "status": {"containerStatuses": [{"name": "worker", **status}]}}
    read = read_pod(body, 1).observed
    told = {field: getattr(read, field) for field in ("waiting_reason", "waiting_message", "restarts")}
    return replace(pod, ended_reason=read.ended_reason, ended_message=read.ended_message, **told)


def starting() -> tuple[Simulation, ObservedPod]:
    run = Simulation(make_pool(replicas=1))
    run.operate()
    run.broken = {run.status["revisions"]["stable"]}
    run.settle()
    pod = next(iter(run.pods.values()))
    return run, replace(pod, fetch=FetchProgress(done=True))


def told_all_the_while(
    run: Simulation, pod: ObservedPod, reason: str, *kinds: str
) -> set[tuple[tuple[str, str, str], ...]]:
    """Return what the conditions of `kinds` say, one after the other, while a worker ends with `reason` and starts again."""
    told = set()
    for status in states(reason):
        run.pods[pod.name] = seen(pod, status)
        run.operate()
        found = [run.condition(kind) for kind in kinds]
        told.add(tuple((one["status"], one["reason"], one["message"]) for one in found))
    return told


@pytest.mark.parametrize("reason", sorted(USER_MENDS))
def test_a_reason_that_only_the_user_mends_stalls_the_pool_with_words_that_stay(reason: str) -> None:
    run, pod = starting()
    told = told_all_the_while(run, pod, reason, "Ready", "Stalled", "WeightsCached", "WorkersReady")
    assert len(told) == 1, told
    stalled = run.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", USER_MENDS[reason].value)
    assert WORDS in stalled["message"]
    assert WORDS in run.condition("Ready")["message"]


@pytest.mark.parametrize("reason", sorted(NOT_THE_USER - {"DigestMismatch"}))
def test_a_reason_that_time_may_mend_keeps_its_words_while_the_container_restarts(reason: str) -> None:
    run, pod = starting()
    for status in states(reason)[3:]:
        run.pods[pod.name] = seen(pod, status)
        run.operate()
        assert WORDS in run.condition("WorkersReady")["message"]


def test_a_worker_that_serves_after_all_is_no_longer_held_against_the_pool() -> None:
    run, pod = starting()
    run.pods[pod.name] = seen(pod, states("ModelTooLarge")[2])
    run.operate()
    assert run.condition("Stalled")["status"] == "True"
    run.broken = set()
    run.settle()
    assert run.condition("Stalled")["status"] == "False"


@pytest.mark.parametrize("reason", sorted(DEVICE_ENDS))
def test_a_broken_device_is_told_from_the_first_end_with_pod_node_and_words_that_stay(reason: str) -> None:
    run, pod = starting()
    words = f"0 of 1 workers are ready; {pod.name} on node {pod.node}: {WORDS}"
    assert told_all_the_while(run, pod, reason, "WorkersReady") == {(("False", "DeviceFailed", words),)}
    assert run.condition("Stalled")["status"] == "False"
    run.broken = set()
    run.settle()
    assert run.condition("WorkersReady")["status"] == "True"
