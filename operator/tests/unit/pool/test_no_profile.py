"""A pass that can name no profile of a slice leaves everything as it is, the state of a rollout included."""

from __future__ import annotations

import pytest
from builders import MIG
from counting import Quality
from judged import judged, phase, runs, until
from simulation import changed

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.pool.rollout.state import read_state


@pytest.mark.parametrize("name", ["Warming", "Analysing", "Promoting"])
def test_a_rollout_keeps_its_share_while_no_node_offers_what_the_spec_asks_for(name: str) -> None:
    run = judged(canary={"steps": [{"weight": 40, "window": "60s"}]})
    until(run, name)
    if name == "Promoting":
        runs(run, 2)
    before = run.status["rollout"]
    assert phase(run) == name
    run.pool = changed(run.pool, slice={"minMemory": "500Gi"})
    plan = run.operate()
    assert plan.children is None
    assert run.condition("Ready")["reason"] == "InsufficientCapacity"
    assert "no node offers a slice of 500Gi or more" in run.condition("Ready")["message"]
    assert run.status["rollout"] == before
    assert read_state(PoolStatus.read(run.status)).weight == (before["stepWeight"] or None)
    assert name == "Warming" or before["stepWeight"] >= 40
    run.pool = changed(run.pool, slice={"resource": MIG})
    until(run, "Idle")


@pytest.mark.parametrize("form", [{"minMemory": "500Gi"}, {"deviceClass": "gpu.nvidia.com"}])
def test_a_canary_that_was_given_up_stays_so_while_no_profile_can_be_named(form: dict[str, str]) -> None:
    run = judged(how=Quality(0.5, 0.01))
    until(run, "RolledBack")
    before = run.status["rollout"]
    run.pool = changed(run.pool, slice=form)
    assert run.operate().children is None
    assert run.status["rollout"] == before
    assert run.condition("Ready")["status"] == "False"
