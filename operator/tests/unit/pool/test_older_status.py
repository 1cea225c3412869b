"""The status of an operator that did not write whether the stable revision served: after an upgrade its record counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import make_pool
from counting import CountingGateway
from judged import LIMITS, ask, phase, runs, until, wanted
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1.status import PoolStatus, RevisionsStatus
from slicewise.pool.rollout.standing import STABLE_GONE_SECONDS
from slicewise.pool.rollout.state import Phase, RolloutState, read_state, write_state

RULES: dict[str, Any] = {"canary": {**LIMITS, "steps": [{"weight": 25, "window": "10m"}]}}


def in_phase(name: Phase) -> Simulation:
    """A pool of three workers in that phase of a change of its model."""
    run = Simulation(make_pool(replicas=3, rollout=RULES), gateway=CountingGateway(10))
    run.settle()
    if name is Phase.IDLE:
        return run
    run.pool = changed(run.pool, model=OTHER)
    if name in {Phase.ROLLING_BACK, Phase.ROLLED_BACK, Phase.PROMOTING}:
        until(run, "Analysing")
        ask(run, "promote" if name is Phase.PROMOTING else "abort")
    until(run, name.value)
    return run


def upgraded(run: Simulation) -> None:
    """A newer operator starts and finds no worker that takes requests, in what an older one wrote."""
    rollout = {key: value for key, value in run.status["rollout"].items() if not key.startswith("stable")}
    run.status = {**run.status, "rollout": rollout}
    for pod in list(run.pods.values()):
        run.pods[pod.name] = replace(pod, ready=False)
        run.broken.add(pod.revision)


@pytest.mark.parametrize("paused", [False, True], ids=["goes-on", "paused"])
@pytest.mark.parametrize("name", list(Phase))
def test_a_stable_that_an_older_operator_recorded_is_kept_while_nothing_serves(name: Phase, paused: bool) -> None:
    run = in_phase(name)
    stable = run.status["revisions"]["stable"]
    upgraded(run)
    run.pool = changed(run.pool, rollout={**RULES, "paused": paused})
    run.operate()
    run.now += STABLE_GONE_SECONDS - 10
    runs(run, 5)
    assert run.status["revisions"]["stable"] == stable
    assert run.status["rollout"]["stableServed"] is True


def test_what_was_given_up_is_not_taken_for_the_stable_one_after_an_upgrade() -> None:
    run = in_phase(Phase.ROLLED_BACK)
    stable = run.status["revisions"]["stable"]
    upgraded(run)
    run.operate()
    run.now += STABLE_GONE_SECONDS
    runs(run, 5)
    assert (phase(run), run.status["revisions"]["stable"]) == ("RolledBack", stable)
    assert run.status["rollout"]["target"] == wanted(run) != stable


def test_a_paused_change_does_not_start_after_an_upgrade() -> None:
    run = in_phase(Phase.IDLE)
    stable = run.status["revisions"]["stable"]
    run.pool = changed(run.pool, model=OTHER, rollout={**RULES, "paused": True})
    run.operate()
    upgraded(run)
    run.operate()
    run.now += STABLE_GONE_SECONDS
    runs(run, 5)
    assert (phase(run), run.status["revisions"]["stable"]) == ("Idle", stable)


@pytest.mark.parametrize("served", [False, True])
def test_whether_the_stable_revision_served_is_written_either_way(served: bool) -> None:
    rollout = write_state(RolloutState(stable="aaaa", served=served), None)
    assert read_state(PoolStatus(revisions=RevisionsStatus(stable="aaaa"), rollout=rollout)).served is served
