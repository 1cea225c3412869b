"""The rollout's state machine: the only place where phases change.

    Idle → Placing → Warming → Analysing → Promoting → Idle
    any of them → RollingBack → RolledBack (given up) or Idle (the user went back)

`replicas.py` and `traffic.py` say what each revision has in the phase that is *stored*; `advance` says which phase comes next. A transition
therefore acts only after it has been recorded, and a pass repeated after a crash does the same again. Pure.
"""

from __future__ import annotations

from dataclasses import replace
from math import floor

from slicewise.pool.rollout.analysing import LOOK_SECONDS, analyse, begin, give_up
from slicewise.pool.rollout.keeping import ZoneWorkers
from slicewise.pool.rollout.placing import elsewhere, lost_place, plan_slice
from slicewise.pool.rollout.request import Action, NotUnderstood
from slicewise.pool.rollout.standing import handed_on, is_late, look, seconds_until_gone, without_stable
from slicewise.pool.rollout.state import GIVEN_UP, Phase, RolloutState, to
from slicewise.pool.rollout.traffic import ALL, canary_weight
from slicewise.pool.rollout.unplaced import look_unplaced, seconds_until_refused
from slicewise.pool.rollout.view import Motion, RevisionReplicas, RolloutView


def advance(state: RolloutState, view: RolloutView, replicas: RevisionReplicas, now: float) -> RolloutState:
    """Return the state after this pass. `replicas` is what `plan_replicas` said for `state`."""
    known = look_unplaced(look(state, view, now), view, now)
    after = handed_on(known, _advance(known, view, replicas, now), view)
    held = view.holds(after) and (after.phase not in {Phase.IDLE, Phase.ROLLED_BACK} or view.wanted != after.stable)
    wrong = view.request.message if isinstance(view.request, NotUnderstood) else ""
    return replace(after, paused=held, request=wrong)


def _advance(state: RolloutState, view: RolloutView, replicas: RevisionReplicas, now: float) -> RolloutState:
    first = without_stable(state, view, now)
    if first is not None:
        return first
    if view.asked(state, Action.ABORT) and state.phase in _ABORTABLE:
        return give_up(state, "AbortedByRequest", "given up by request", now)
    if state.phase is Phase.ROLLED_BACK and state.target == view.wanted != state.stable:
        # Given up. Nothing happens until the spec changes or a retry is requested.
        return _fresh(state, view, now) if view.asked(state, Action.RETRY) and not view.paused else state
    if view.holds(state) and state.phase is not Phase.IDLE:
        return _while_held(state, view, now)
    turned = _spec_turned(state, view, now)
    if turned is not None:
        return turned
    return _forward(state, view, now) or _in_phase(state, view, replicas, now)


def _forward(state: RolloutState, view: RolloutView, now: float) -> RolloutState | None:
    """Where a rollout goes without a verdict: by request, or because there is no stable revision to go back to; None: nowhere."""
    if state.phase is Phase.ROLLING_BACK:
        return _no_way_back(state, view, now)
    if state.phase not in _PROMOTABLE or not view.canary_serving():
        return None
    if view.asked(state, Action.PROMOTE):
        return _promote(state, now, "promoted by request")
    if view.stable_gone:
        return _promote(state, now, f"no worker of the stable revision {state.stable} is ready: nothing to judge by")
    return None


def _promote(state: RolloutState, now: float, why: str) -> RolloutState:
    return replace(to(state, Phase.PROMOTING, now, why), held=False, abort_reason=None, step_since=now)


def _no_way_back(state: RolloutState, view: RolloutView, now: float) -> RolloutState | None:
    """Where a roll-back goes instead: forward by request, or on to a third revision where the stable one is gone or does not get whole."""
    if view.wanted == state.target:
        again = view.asked(state, Action.RETRY) and view.stable_gone
        if view.canary_serving() and (again or view.asked(state, Action.PROMOTE)):
            return _promote(state, now, "promoted by request")
        return _fresh(state, view, now) if again else None
    # Workers of it that do not become ready hold up no third revision, unless others serve in their place.
    broken = not view.canary_serving() and is_late(state, view, now)
    if view.wanted == state.stable or not (view.stable_gone or broken):
        return None
    if view.canary_serving():
        # All that serves. It stays until the third revision takes over.
        return RolloutState(stable=state.target, phase_since=now, message=f"revision {state.target} is all that serves")
    return _fresh(state, view, now)


_PROMOTABLE = {Phase.WARMING, Phase.ANALYSING}
_ABORTABLE = {Phase.PLACING, Phase.WARMING, Phase.ANALYSING, Phase.PROMOTING}


def _in_phase(state: RolloutState, view: RolloutView, replicas: RevisionReplicas, now: float) -> RolloutState:
    match state.phase:
        case Phase.IDLE | Phase.ROLLED_BACK:
            return _start(state, view, now)
        case Phase.PLACING:
            return _placing(state, view, now)
        case Phase.WARMING:
            return _warming(state, view, now)
        case Phase.ANALYSING:
            return analyse(state, view, now)
        case Phase.PROMOTING:
            return _promoting(state, view, replicas, now)
        case Phase.ROLLING_BACK:
            return _rolling_back(state, view, replicas, now)


def _while_held(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    """A rollout that is held stays where it is, but a canary that is proved bad loses its requests."""
    if state.phase is not Phase.ANALYSING or view.gate is None or not view.canary_serving():
        return state
    after = analyse(state, view, now)
    return after if after.phase in {Phase.ANALYSING, Phase.ROLLING_BACK} else state


def _spec_turned(state: RolloutState, view: RolloutView, now: float) -> RolloutState | None:
    """The spec no longer asks for the canary that is under way: workers of the canary go first, then the newest starts."""
    if state.phase in {Phase.IDLE, *GIVEN_UP} or view.wanted == state.target:
        return None
    back = view.wanted == state.stable
    why = "the spec went back to the stable revision" if back else f"the spec now asks for revision {view.wanted}"
    return replace(to(state, Phase.ROLLING_BACK, now, why), abort_reason=None, held=False, step_since=now)


def _start(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    if view.wanted == state.stable:
        if state.phase is Phase.IDLE:
            return state
        return RolloutState(stable=state.stable, phase_since=now, message="the spec went back to the stable revision")
    if view.paused:
        return replace(state, message="paused by spec.rollout.paused: the new revision is not started")
    return _fresh(state, view, now)


def _fresh(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    """A new attempt. Its start tells it from every other one, so two attempts never start in the same second."""
    start = now if state.started_at is None or floor(now) != floor(state.started_at) else now + 1
    attempt = RolloutState(
        phase=Phase.PLACING, stable=state.stable, target=view.wanted, started_at=start, phase_since=now
    )
    return plan_slice(attempt, view, gone=view.stable_gone)


def _placing(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    if not any(target.desired for target in view.targets):
        return to(state, Phase.PROMOTING, now, "the pool has no workers")
    if state.zone is None:
        planned = plan_slice(state, view, gone=view.stable_gone)
        return planned if planned.zone is None else replace(planned, phase_since=now)
    if lost_place(state, view):
        return plan_slice(state, view, gone=view.stable_gone)
    if view.canary_placed:
        return to(state, Phase.WARMING, now, f"the canary's worker loads in zone {state.zone!r}")
    has = view.canary.get(state.zone, ZoneWorkers())
    if has.releasing:
        return state  # what it waits for is on its way
    refused = f": {view.canary_refusal}" if view.canary_refusal else ""
    return elsewhere(state, view) or _in_time(state, view, now, "was not placed on a node", refused)


def _warming(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    has = view.canary.get(state.zone or "", ZoneWorkers())
    if not any(target.desired for target in view.targets):
        return to(state, Phase.PROMOTING, now, "the pool has no workers")
    if has.new_serving > 0:
        return begin(state, view.gate, now)
    if lost_place(state, view):
        again = plan_slice(state, view, gone=view.stable_gone)
        return to(again, Phase.PLACING, now, f"the canary's worker has lost its slice; {again.message}")
    if view.canary_crash and state.step is not None:
        return give_up(state, "CanaryCrashed", f"the canary's worker ends again and again: {view.canary_crash}", now)
    return _in_time(state, view, now, "was not ready")


def _in_time(state: RolloutState, view: RolloutView, now: float, lacks: str, why: str = "") -> RolloutState:
    """Return `state`, or given up where the phase has lasted longer than the deadline. `lacks`: what the canary's worker has not done."""
    since = state.phase_since
    if since is None or since > now + 1:
        return replace(state, phase_since=now)  # the clock went back: the wait starts again, so that it ends
    if now - since > view.progress_deadline:
        message = (
            f"the canary's worker in zone {state.zone!r} {lacks} within {view.progress_deadline:.0f} s "
            f"(spec.rollout.progressDeadline){why}; the stable revision serves on"
        )
        return give_up(state, "ProgressDeadlineExceeded", message, now)
    return state


def _promoting(state: RolloutState, view: RolloutView, replicas: RevisionReplicas, now: float) -> RolloutState:
    """Requests go first: the weight of the new revision is recorded as it rises, and is all before the last old worker goes."""
    if replicas.step is not None and replicas.step.done:
        return RolloutState(
            stable=state.target, phase_since=now, message=f"revision {state.target} serves in all zones"
        )
    weight = ALL if replicas.motion is Motion.REQUESTS_FIRST else canary_weight(state, view.serving(state))
    both = view.canary_serving() and view.stable_serving()
    if both and weight > (state.weight or 0):
        return replace(state, weight=weight, step_since=now)
    return state


def _rolling_back(state: RolloutState, view: RolloutView, replicas: RevisionReplicas, now: float) -> RolloutState:
    weight = canary_weight(state, view.serving(state))
    if weight < (state.weight or 0) and (weight or view.arrived):
        return replace(state, weight=weight, step_since=now)
    if replicas.step is None or not replicas.step.done:
        return state
    if state.abort_reason is not None and view.wanted == state.target:
        return replace(to(state, Phase.ROLLED_BACK, now, state.message), zone=None, surge=False)
    return RolloutState(stable=state.stable, phase_since=now, message=f"revision {state.stable} serves in all zones")


def next_deadline(state: RolloutState, view: RolloutView, now: float) -> float | None:
    """Return the seconds until the machine moves by the clock alone; None when only events move it."""
    if state.phase is Phase.ANALYSING and view.gate is not None:
        return LOOK_SECONDS
    if not view.arrived:
        return LOOK_SECONDS
    waits = [] if state.phase is Phase.IDLE else [seconds_until_gone(state, now)]
    if not view.holds(state):
        waits += [_seconds_until_late(state, view, now), seconds_until_refused(state, now)]
    return min((wait for wait in waits if wait is not None), default=None)


def _seconds_until_late(state: RolloutState, view: RolloutView, now: float) -> float | None:
    """Return how long until the phase has lasted longer than the deadline; None where that changes nothing."""
    if state.phase not in {Phase.PLACING, Phase.WARMING, Phase.ROLLING_BACK} or (
        state.phase is Phase.PLACING and state.zone is None
    ):
        return None
    left = view.progress_deadline + 1 - max(0.0, now - (state.phase_since or now))
    if state.phase is Phase.ROLLING_BACK and view.stable_late_in is not None:
        left = max(left, view.stable_late_in + 1)
    # A placing that is late waits for a terminating worker, and the end of that wakes the pass.
    return max(1.0, left) if state.phase is Phase.WARMING or left > 0 else None
