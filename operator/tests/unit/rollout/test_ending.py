"""How a rollout ended, as the counters of outcomes have it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import make_pool
from judged import wanted
from simulation import OTHER, Simulation, changed

from slicewise.pool.rollout.ending import Ending, Outcome, find_ending
from slicewise.pool.rollout.state import Phase, RolloutState

JUDGED = RolloutState(phase=Phase.ANALYSING, stable="old", target="new", started_at=100.0)
PROMOTING = replace(JUDGED, phase=Phase.PROMOTING)
GIVEN_UP = replace(JUDGED, phase=Phase.ROLLING_BACK, abort_reason="TooManyErrors")


@pytest.mark.parametrize(
    ("before", "after", "ending"),
    [
        (PROMOTING, RolloutState(stable="new"), Ending(Outcome.PROMOTED, "Promoted", 60)),
        (JUDGED, GIVEN_UP, Ending(Outcome.GIVEN_UP, "TooManyErrors", 60)),
        (PROMOTING, GIVEN_UP, Ending(Outcome.GIVEN_UP, "TooManyErrors", 60)),
        (JUDGED, replace(GIVEN_UP, abort_reason=None), Ending(Outcome.TAKEN_BACK, "TakenBack", 60)),
        (JUDGED, replace(JUDGED, target="newer", started_at=160.0), Ending(Outcome.TAKEN_BACK, "TakenBack", 60)),
        (replace(JUDGED, started_at=None), GIVEN_UP, Ending(Outcome.GIVEN_UP, "TooManyErrors", None)),
        (replace(JUDGED, started_at=200.0), GIVEN_UP, Ending(Outcome.GIVEN_UP, "TooManyErrors", 0)),
        (RolloutState(stable="old"), JUDGED, None),
        (JUDGED, PROMOTING, None),
        (JUDGED, replace(JUDGED, weight=25, step=1), None),
        (GIVEN_UP, replace(GIVEN_UP, phase=Phase.ROLLED_BACK), None),
        (replace(GIVEN_UP, phase=Phase.ROLLED_BACK), RolloutState(stable="old"), None),
        (replace(GIVEN_UP, phase=Phase.ROLLED_BACK), JUDGED, None),
        (RolloutState(), RolloutState(stable="first"), None),
    ],
)
def test_a_rollout_ends_once(before: RolloutState, after: RolloutState, ending: Ending | None) -> None:
    assert find_ending(before, after, now=160.0) == ending


@pytest.mark.parametrize(("broken", "outcomes"), [(False, [Outcome.PROMOTED]), (True, [Outcome.GIVEN_UP])])
def test_the_plan_of_one_pass_says_that_a_rollout_ended(broken: bool, outcomes: list[Outcome]) -> None:
    run = Simulation(make_pool(rollout={"progressDeadline": "60s"}))
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    if broken:
        run.broken.add(wanted(run))
    endings = []
    for _ in range(200):
        plan = run.operate()
        endings += [plan.ending.outcome] if plan.ending is not None else []
        run.tick()
    assert endings == outcomes
