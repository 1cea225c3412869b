"""A stable revision that never served, or serves nothing any more, is no stable: nothing waits for it, nothing is judged against it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_node, make_pool
from counting import CountingGateway
from judged import LIMITS, ask, phase, runs, until, wanted
from simulation import OTHER, Simulation, changed

from slicewise.pool.rollout.standing import STABLE_GONE_SECONDS

WRONG = {"source": "https://models.example.com/a.gguf", "digest": "sha256:" + "a" * 64}
WRONG_TOO = {"source": "https://models.example.com/a.gguf", "digest": "sha256:" + "b" * 64}
RIGHT = {"source": "https://models.example.com/a.gguf", "digest": "sha256:" + "c" * 64}
CANARY = {"canary": LIMITS}


def wrong(run: Simulation) -> None:
    """What the spec asks for now never gets ready."""
    run.broken.add(wanted(run))


@pytest.mark.parametrize("rollout", [{}, CANARY, {"paused": True}], ids=["plain", "canary", "paused"])
@pytest.mark.parametrize("slices", [1, 2])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_new_pool_that_is_corrected_twice_becomes_ready_by_itself(
    seed: int, slices: int, rollout: dict[str, object]
) -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}, rollout=rollout, model=WRONG))
    run.nodes = {f"node-{zone}": make_node(f"node-{zone}", zone, slices) for zone in "abc"}
    run.random.seed(seed)
    wrong(run)
    runs(run, 8)
    run.pool = changed(run.pool, model=WRONG_TOO)
    wrong(run)
    runs(run, 8)
    run.pool = changed(run.pool, model=RIGHT)
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.status["revisions"] == {"stable": wanted(run)}
    assert run.ready() == {"a": 1, "b": 1, "c": 1}
    assert set(run.phases) == {"Idle"}, "there is nothing to roll out from"


def test_a_corrected_first_source_is_not_judged() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY, model=WRONG), gateway=CountingGateway(0))
    wrong(run)
    runs(run, 30)
    run.pool = changed(run.pool, model=RIGHT)
    runs(run, 40)
    assert run.condition("Ready")["status"] == "True"
    assert "Analysing" not in run.phases


def test_a_pool_that_was_left_stuck_by_an_older_operator_goes_on() -> None:
    """It had recorded: taken back to a revision that never served, while the spec asks for a third. That one has the time to serve."""
    run = Simulation(make_pool(replicas=3, model=WRONG))
    wrong(run)
    runs(run, 8)
    first = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=WRONG_TOO)
    wrong(run)
    second = wanted(run)
    run.pool = changed(run.pool, model=RIGHT)
    run.status = {
        **run.status,
        "revisions": {"stable": first, "canary": second},
        "rollout": {"phase": "RollingBack", "target": second, "startedAt": "2026-01-01T00:00:00Z"},
    }
    runs(run, int(STABLE_GONE_SECONDS) + 2)
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.status["revisions"] == {"stable": wanted(run)}


def test_what_serves_stays_where_the_record_of_it_is_lost() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    served = run.status["revisions"]["stable"]
    run.status = {}
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    assert run.status["revisions"]["stable"] == served
    run.settle()
    assert run.status["revisions"] == {"stable": wanted(run)}


def test_one_zone_that_serves_is_a_stable() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY), gateway=CountingGateway(40))
    run.settle()
    stable = run.status["revisions"]["stable"]
    for pod in [pod for pod in run.pods.values() if pod.zone != "a"]:
        run.pods[pod.name] = replace(pod, ready=False)
    run.broken = {stable}
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Analysing")
    runs(run, int(STABLE_GONE_SECONDS) // 2)
    assert phase(run) == "Analysing"
    assert run.status["revisions"]["stable"] == stable
    until(run, "Idle")
    assert run.status["revisions"]["stable"] == wanted(run)


def gone(run: Simulation) -> None:
    """No worker of the stable revision serves, and none will."""
    run.broken.add(run.status["revisions"]["stable"])
    for pod in list(run.pods.values()):
        if pod.revision in run.broken:
            run.pods[pod.name] = replace(pod, ready=False)


@pytest.mark.parametrize("slices", [1, 2])
def test_a_stable_whose_workers_are_all_gone_is_taken_over_without_a_verdict(slices: int) -> None:
    run = Simulation(
        make_pool(replicas=3, rollout=CANARY, zones={"minAvailable": 1}),
        nodes={f"node-{zone}": make_node(f"node-{zone}", zone, slices) for zone in "abc"},
        gateway=CountingGateway(0),
    )
    run.settle()
    gone(run)
    runs(run, 10)
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Promoting", int(STABLE_GONE_SECONDS) + 60)
    until(run, "Idle", 100)
    assert run.status["revisions"] == {"stable": wanted(run)}
    run.settle()
    assert run.condition("Ready")["status"] == "True"


def test_a_stable_that_is_away_for_a_moment_is_still_judged_against() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY), gateway=CountingGateway(0))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Analysing")
    stable = run.status["revisions"]["stable"]
    gone(run)
    runs(run, int(STABLE_GONE_SECONDS) - 20)
    run.broken.clear()
    runs(run, 200)
    assert phase(run) == "Analysing"
    assert run.status["revisions"]["stable"] == stable


def test_a_third_revision_does_not_wait_for_a_stable_that_is_gone() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY, zones={"minAvailable": 1}), gateway=CountingGateway(0))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Analysing")
    run.pool = changed(run.pool, model=RIGHT)
    until(run, "RollingBack", 5)
    gone(run)
    until(run, "Idle", int(STABLE_GONE_SECONDS) + 10)
    runs(run, 5)
    assert run.status["rollout"]["target"] == wanted(run)


def with_a_stable_that_does_not_get_whole() -> Simulation:
    """A canary is warming that never serves. A worker of the stable revision serves, and the second, asked for now, never will."""
    run = Simulation(make_pool(replicas=1, model=RIGHT, rollout={"progressDeadline": "5m"}))
    run.settle()
    run.pool = changed(run.pool, model=WRONG)
    wrong(run)
    until(run, "Warming")
    run.broken.add(run.status["revisions"]["stable"])
    run.pool = changed(run.pool, replicas=2)
    return run


def test_a_third_revision_does_not_wait_for_ever_for_workers_of_a_stable_that_do_not_start() -> None:
    run = with_a_stable_that_does_not_get_whole()
    run.pool = changed(run.pool, model=WRONG_TOO)
    until(run, "RollingBack", 5)
    runs(run, 250)
    assert phase(run) == "RollingBack", "it still has time to start"
    until(run, "Idle", 100)
    run.settle()
    assert run.status["revisions"] == {"stable": wanted(run)}
    assert run.condition("Ready")["status"] == "True"


def test_a_roll_back_whose_workers_do_not_start_says_that_a_person_is_needed() -> None:
    run = with_a_stable_that_does_not_get_whole()
    ask(run, "abort")
    until(run, "RollingBack", 5)
    runs(run, 250)
    assert run.condition("Stalled")["status"] == "False", "they still have time to start"
    runs(run, 100)
    stalled = run.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "StableGone")
    assert "have not become ready within 300 s" in stalled["message"]
    assert stalled["message"].endswith("fix that, or change the spec")
    run.broken.clear()
    run.pods = {name: pod for name, pod in run.pods.items() if pod.ready}
    until(run, "RolledBack", 100)
    assert run.condition("Stalled")["reason"] != "StableGone"


def test_what_was_given_up_while_stable_is_gone_waits_for_a_person_and_says_so() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY), gateway=CountingGateway(0))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Analysing")
    gone(run)
    ask(run, "abort")
    runs(run, int(STABLE_GONE_SECONDS) + 10)
    assert phase(run) == "RollingBack"
    assert run.gateway is not None
    assert run.gateway.weights[wanted(run)] == 100, "it is all that serves"
    stalled = run.condition("Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "StableGone")
    assert "kubectl slicewise promote chat" in stalled["message"]
    ask(run, "promote")
    until(run, "Idle", 200)
    assert run.status["revisions"] == {"stable": wanted(run)}


def test_what_was_given_up_and_serves_nothing_beside_a_stable_that_is_gone_is_tried_again_on_request() -> None:
    run = Simulation(make_pool(replicas=3, rollout=CANARY), gateway=CountingGateway(0))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    until(run, "Warming")
    wrong(run)
    gone(run)
    ask(run, "abort")
    runs(run, int(STABLE_GONE_SECONDS) + 10)
    assert "kubectl slicewise retry chat" in run.condition("Stalled")["message"]
    run.broken.discard(wanted(run))
    ask(run, "retry")
    until(run, "Idle", 400)
    assert run.status["revisions"] == {"stable": wanted(run)}
