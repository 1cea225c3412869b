"""Replicas: how many workers each revision has in each zone, in the phase that is stored. Pure.

Requests go first, workers after them: no worker of a revision that is to lose all requests goes before the gateway sends it none.
"""

from __future__ import annotations

from collections.abc import Mapping

from slicewise.pool.rollout.placing import give_place
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.rollout.steps import Step, replace_step
from slicewise.pool.rollout.traffic import ALL, canary_weight
from slicewise.pool.rollout.view import Motion, RevisionReplicas, RolloutView


def plan_replicas(state: RolloutState, view: RolloutView, steady: Mapping[str, int]) -> RevisionReplicas:
    """Return the desired replicas of each revision in the stored phase.

    `steady`: zone → replicas of the stable revision when no rollout moves workers (`hold_back_shrinking`).
    """
    if state.phase in {Phase.PROMOTING, Phase.ROLLING_BACK} and view.holds(state):
        return _as_it_is(view, Motion.HELD)
    if state.phase is Phase.PROMOTING:
        step = replace_step(view.targets, view.canary)
        if _stable_keeps_requests(state, view, step):
            return _as_it_is(view, Motion.REQUESTS_FIRST)
        return RevisionReplicas(stable=step.old, canary=step.new, motion=Motion.REPLACING, step=step)
    if state.phase is Phase.ROLLING_BACK:
        if _canary_keeps_requests(state, view):
            return _as_it_is(view, Motion.REQUESTS_FIRST)
        step = replace_step(view.targets, view.stable)
        return RevisionReplicas(stable=step.new, canary=step.old, motion=Motion.REPLACING, step=step)
    if state.canary is None or state.zone is None or not any(target.desired for target in view.targets):
        return RevisionReplicas(stable=steady, canary={})
    stable = steady if state.surge else give_place(state.zone, view, steady, gone=view.stable_gone)
    return RevisionReplicas(stable=stable, canary={state.zone: 1})


def _stable_keeps_requests(state: RolloutState, view: RolloutView, step: Step) -> bool:
    """Whether the last stable worker is about to go while the gateway may still send it requests."""
    if any(step.old.values()) or not any(entry.old for entry in view.canary.values()):
        return False
    if not view.canary_serving() or not view.stable_serving():
        return False
    return state.weight != ALL or not view.arrived


def _canary_keeps_requests(state: RolloutState, view: RolloutView) -> bool:
    """Whether the canary must lose its requests, and it is not recorded yet that the gateway sends it none."""
    return bool(state.weight) and view.canary_serving() > 0 and canary_weight(state, view.serving(state)) == 0


def _as_it_is(view: RolloutView, motion: Motion) -> RevisionReplicas:
    held = view.canary
    old, new = ({zone: getattr(entry, side) for zone, entry in held.items()} for side in ("old", "new"))
    return RevisionReplicas(old, new, motion)
