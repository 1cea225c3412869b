"""What a change of model becomes, told as stories on a simulated cluster."""

from __future__ import annotations

from dataclasses import replace

from builders import make_node, make_pool
from counting import CountingGateway
from judged import ask, until, wanted
from simulation import OTHER, Simulation, changed

from slicewise.pool.rollout.state import Phase


def test_a_change_of_model_replaces_every_worker_and_ends_idle() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}))
    run.settle()
    old = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=OTHER)
    run.settle()
    assert run.status["revisions"]["stable"] != old
    assert run.condition("Ready")["status"] == "True"
    assert {pod.revision for pod in run.pods.values()} == {run.status["revisions"]["stable"]}
    seen = list(dict.fromkeys(run.phases))
    assert seen == ["Idle", "Placing", "Warming", "Analysing", "Promoting"]


def test_a_transition_asks_for_the_pass_that_acts_on_it() -> None:
    """Nobody else wakes a pool after our own status write: the answer has already told the cache."""
    run = Simulation(make_pool(replicas=3))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    for _ in range(200):
        before = run.status["rollout"]["phase"]
        plan = run.operate()
        if run.status["rollout"]["phase"] != before:
            assert plan.requeue_after == 0
        run.tick()
    assert run.status["rollout"]["phase"] == "Idle"


def test_going_back_gives_back_the_same_revision() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    first = dict(run.revisions)
    back = run.pool
    run.pool = changed(run.pool, model=OTHER)
    run.settle()
    run.pool = changed(back, replicas=3)
    run.settle()
    name = f"chat-{run.status['revisions']['stable']}"
    assert run.revisions[name] == first[name]
    assert len(run.revisions) == 2


def test_without_a_free_slice_a_worker_above_the_floor_gives_way() -> None:
    run = Simulation(make_pool(replicas=6, zones={"minAvailable": 1}))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    run.settle()
    assert run.condition("Ready")["status"] == "True"
    assert run.ready() == {"a": 2, "b": 2, "c": 2}


def test_without_a_slice_to_spare_the_rollout_waits_and_the_old_one_serves() -> None:
    run = Simulation(make_pool(replicas=6, zones={"minAvailable": 2}))
    run.settle()
    old = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=OTHER)
    run.settle()
    assert run.condition("RolloutProgressing")["reason"] == "NoSliceToSpare"
    assert run.ready() == {"a": 2, "b": 2, "c": 2}
    assert {pod.revision for pod in run.pods.values()} == {old}
    run.nodes["node-d"] = make_node("node-d", "b", 1)
    run.settle()
    assert run.condition("Ready")["status"] == "False"
    assert run.status["rollout"]["phase"] == "Promoting"


def test_a_canary_that_never_gets_ready_is_taken_back_and_not_tried_again() -> None:
    run = Simulation(make_pool(replicas=3, rollout={"progressDeadline": "60s"}))
    run.settle()
    old = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    run.broken = {run.status["rollout"]["target"]}
    run.settle()
    assert run.status["rollout"]["phase"] == "Warming"
    run.now += 61
    run.settle()
    assert run.status["rollout"]["phase"] == Phase.ROLLED_BACK
    assert run.condition("Degraded")["reason"] == "RolledBack"
    assert run.condition("Stalled")["status"] == "True"
    assert {pod.revision for pod in run.pods.values()} == {old}
    assert run.ready() == {"a": 1, "b": 1, "c": 1}


def test_a_second_change_in_mid_promotion_first_restores_the_stable_revision() -> None:
    run = Simulation(make_pool(replicas=6, zones={"minAvailable": 1}))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    while run.status["rollout"]["phase"] != "Promoting" or run.ready().total() < 6:
        run.operate()
        run.tick()
    run.pool = changed(run.pool, model=OTHER | {"name": "third"})
    run.settle()
    assert "RollingBack" in run.phases
    assert run.condition("Ready")["status"] == "True"
    assert run.status["rollout"]["phase"] == "Idle"


def test_why_a_canary_does_not_start_is_told_beside_a_full_number_of_workers() -> None:
    run = Simulation(make_pool(replicas=3))
    run.settle()
    stable = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    run.broken = {run.status["rollout"]["target"]}
    run.settle()
    canary = next(pod for pod in run.pods.values() if pod.revision != stable)
    run.pods[canary.name] = replace(canary, waiting_reason="ImagePullBackOff", waiting_message="no such image")
    run.operate()
    workers = run.condition("WorkersReady")
    assert (workers["status"], workers["reason"]) == ("False", "ImageNotPullable")
    assert workers["message"].startswith(f"3 of 3 workers are ready; {canary.name}: no such image")
    assert "no such image" in run.condition("Ready")["message"]
    assert run.condition("Ready")["reason"] == "RolloutInProgress"


def test_after_an_abort_the_model_is_the_one_that_serves_and_the_wanted_one_stands_beside_it() -> None:
    run = Simulation(make_pool(replicas=3, model={**OTHER, "name": "small"}))
    run.settle()
    assert (run.status["model"], run.status.get("wantedModel")) == ("small", None)
    stable = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model={**OTHER, "name": "large"})
    until(run, "Placing")
    assert (run.status["model"], run.status["wantedModel"]) == ("small", "large")
    ask(run, "abort")
    until(run, "RolledBack")
    assert (run.status["model"], run.status["wantedModel"]) == ("small", "large")
    assert run.status["revisions"] == {"stable": stable, "wanted": wanted(run)}
    ask(run, "retry")
    run.settle()
    assert (run.status["model"], run.status.get("wantedModel")) == ("large", None)


def test_no_word_of_the_gateway_flaps_in_at_the_end_of_a_rollout() -> None:
    run = Simulation(make_pool(replicas=3), gateway=CountingGateway(10, delay=3))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    said = set()
    for _ in range(200):
        run.operate()
        said.add((run.condition("Ready")["reason"], run.condition("GatewayProgrammed")["status"]))
        run.tick()
    assert said <= {("RolloutInProgress", "True"), ("AllWorkersReady", "True")}
