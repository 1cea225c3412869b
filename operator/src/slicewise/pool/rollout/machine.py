"""The rollout's state machine: the only place where phases change.

    Idle → Placing → Warming → Analysing → Promoting → Idle
    any of them → RollingBack → RolledBack (given up) or Idle (the user went back)

`shares` says what each revision has in each zone in the phase that is *stored*; `advance` says which phase comes next. A
transition therefore acts only after it has been recorded, and a pass repeated after a crash does the same again. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from slicewise.pool.rollout.judge import Verdict, judge
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.rollout.steps import Step, ZoneWorkers, replace_step
from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class RolloutView:
    """What the machine looks at besides its own state."""

    wanted: str
    """Hash of the revision that the spec asks for."""
    targets: Sequence[ZoneTarget]
    stable: Mapping[str, ZoneWorkers]
    """Zone → workers, with the stable revision as `new` and the canary as `old`: what a roll-back looks at."""
    canary: Mapping[str, ZoneWorkers]
    """The same with the canary as `new`: what placing and promoting look at."""
    canary_placed: bool = False
    """A worker of the canary has been bound to a node."""
    paused: bool = False
    progress_deadline: float = 900.0
    """Seconds that a canary's worker may take to become ready."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Replicas to ask for now, by zone; `canary` empty where no canary may have workers."""

    stable: Mapping[str, int]
    canary: Mapping[str, int]
    step: Step | None = None


def shares(state: RolloutState, view: RolloutView, steady: Mapping[str, int]) -> Shares:
    """Return what each revision is to have in the phase that is stored.

    `steady`: zone → replicas of the stable revision when no rollout moves workers (`hold_back_shrinking`).
    """
    if state.phase in {Phase.PROMOTING, Phase.ROLLING_BACK} and view.paused:
        held = view.canary
        return Shares(
            {zone: entry.old for zone, entry in held.items()}, {zone: entry.new for zone, entry in held.items()}
        )
    if state.phase is Phase.PROMOTING:
        step = replace_step(view.targets, view.canary)
        return Shares(stable=step.old, canary=step.new, step=step)
    if state.phase is Phase.ROLLING_BACK:
        step = replace_step(view.targets, view.stable)
        return Shares(stable=step.new, canary=step.old, step=step)
    if state.canary is None or state.zone is None or not any(target.desired for target in view.targets):
        return Shares(stable=steady, canary={})
    return Shares(stable=steady if state.surge else _one_gave_way(state.zone, view, steady), canary={state.zone: 1})


def _one_gave_way(zone: str, view: RolloutView, steady: Mapping[str, int]) -> dict[str, int]:
    """One stable worker of `zone` has left its place to the canary; never so that the zone falls below its floor.

    A zone may have more than it is to have (other zones lack workers), so what counts is the floor less the canary's own
    worker once that serves.
    """
    target = next((target for target in view.targets if target.zone == zone), None)
    if target is None:
        return dict(steady)
    up = view.canary.get(zone, ZoneWorkers()).new_serving
    keep = max(target.desired - 1, target.floor - up)
    return {**steady, zone: max(0, min(steady.get(zone, 0), keep))}


def advance(state: RolloutState, view: RolloutView, now_shares: Shares, now: float) -> RolloutState:
    """Return the state after this pass. `now_shares` is what `shares` said for `state`."""
    if state.stable is None:
        return RolloutState(stable=view.wanted, phase_since=now, message="first revision")
    if _holds(state, view):
        return state
    turned = _spec_turned(state, view, now)
    if turned is not None:
        return turned
    match state.phase:
        case Phase.IDLE | Phase.ROLLED_BACK:
            return _start(state, view, now)
        case Phase.PLACING:
            return _placing(state, view, now)
        case Phase.WARMING:
            return _warming(state, view, now)
        case Phase.ANALYSING:
            return _analysing(state, now)
        case Phase.PROMOTING:
            return _promoting(state, now_shares, now)
        case Phase.ROLLING_BACK:
            return _rolling_back(state, view, now_shares, now)


def _holds(state: RolloutState, view: RolloutView) -> bool:
    """Whether nothing may happen: this very revision was given up, or the user holds the rollout where it is."""
    gave_up = state.phase is Phase.ROLLED_BACK and state.target == view.wanted != state.stable
    return gave_up or (view.paused and state.phase is not Phase.IDLE)


def _to(state: RolloutState, phase: Phase, now: float, message: str) -> RolloutState:
    return replace(state, phase=phase, phase_since=now, message=message)


def _spec_turned(state: RolloutState, view: RolloutView, now: float) -> RolloutState | None:
    """The spec no longer asks for the canary that is under way: workers of the canary go first, then the newest starts."""
    if state.phase in {Phase.IDLE, Phase.ROLLED_BACK, Phase.ROLLING_BACK} or view.wanted == state.target:
        return None
    back = view.wanted == state.stable
    why = "the spec went back to the stable revision" if back else f"the spec now asks for revision {view.wanted}"
    return replace(_to(state, Phase.ROLLING_BACK, now, why), abort_reason=None)


def _start(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    if view.wanted == state.stable:
        if state.phase is Phase.IDLE:
            return state
        return RolloutState(stable=state.stable, phase_since=now, message="the spec went back to the stable revision")
    if view.paused:
        return replace(state, message="paused by spec.rollout.paused: the new revision is not started")
    fresh = RolloutState(phase=Phase.PLACING, stable=state.stable, target=view.wanted, started_at=now, phase_since=now)
    return _plan_slice(fresh, view)


def _plan_slice(state: RolloutState, view: RolloutView) -> RolloutState:
    """Plan the canary's slice before it starts: a free one, else that of a stable worker above the floor, else none."""
    if not any(target.desired for target in view.targets):
        return replace(state, zone=None, message="the pool has no workers: the new revision takes over at once")
    free = [target.zone for target in view.targets if view.canary.get(target.zone, ZoneWorkers()).free > 0]
    if free:
        zone = max(free, key=lambda name: view.canary[name].free)
        return replace(state, zone=zone, surge=True, message=f"a slice is free in zone {zone!r}")
    for target in view.targets:
        has = view.canary.get(target.zone, ZoneWorkers())
        if has.exchangeable and target.desired and min(has.old_serving, has.old) - 1 >= target.floor:
            message = f"no slice is free: one stable worker of zone {target.zone!r}, above the floor, gives way"
            return replace(state, zone=target.zone, surge=False, message=message)
    return replace(state, zone=None, message=NO_SLICE_TO_SPARE)


NO_SLICE_TO_SPARE = (
    "no slice is free in any zone of the pool and no zone has a ready worker above its floor: lower spec.zones.minAvailable, "
    "raise spec.replicas where slices can be had, or add a node; nothing changes until then"
)


def _placing(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    if not any(target.desired for target in view.targets):
        return _to(state, Phase.PROMOTING, now, "the pool has no workers")
    if state.zone is None or state.zone not in {target.zone for target in view.targets}:
        return _plan_slice(state, view)
    if view.canary_placed:
        return _to(state, Phase.WARMING, now, f"the canary's worker loads in zone {state.zone!r}")
    return state


def _warming(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    has = view.canary.get(state.zone or "", ZoneWorkers())
    if not any(target.desired for target in view.targets):
        return _to(state, Phase.PROMOTING, now, "the pool has no workers")
    if has.new_serving > 0:
        return _to(state, Phase.ANALYSING, now, "the canary's worker serves")
    if now - (state.phase_since or now) > view.progress_deadline:
        message = (
            f"the canary's worker in zone {state.zone!r} was not ready within {view.progress_deadline:.0f} s "
            "(spec.rollout.progressDeadline); the stable revision serves on"
        )
        return replace(_to(state, Phase.ROLLING_BACK, now, message), abort_reason="ProgressDeadlineExceeded")
    return state


def _analysing(state: RolloutState, now: float) -> RolloutState:
    verdict = judge()
    if verdict is Verdict.PASS:
        return _to(
            state, Phase.PROMOTING, now, "its first worker serves; spec.rollout.canary is not acted on by this version"
        )
    return state


def _promoting(state: RolloutState, done: Shares, now: float) -> RolloutState:
    if done.step is None or not done.step.done:
        return state
    return RolloutState(stable=state.target, phase_since=now, message=f"revision {state.target} serves in all zones")


def _rolling_back(state: RolloutState, view: RolloutView, done: Shares, now: float) -> RolloutState:
    if done.step is None or not done.step.done:
        return state
    if state.abort_reason is not None and view.wanted == state.target:
        return replace(_to(state, Phase.ROLLED_BACK, now, state.message), zone=None, surge=False)
    return RolloutState(stable=state.stable, phase_since=now, message=f"revision {state.stable} serves in all zones")


def next_deadline(state: RolloutState, view: RolloutView, now: float) -> float | None:
    """Return the seconds until the machine moves by the clock alone; None when only events move it."""
    if state.phase is not Phase.WARMING or view.paused:
        return None
    return max(1.0, (state.phase_since or now) + view.progress_deadline - now + 1)
