"""Placing: which slice the canary's worker gets, and whether it has lost it. Called by `machine.py` and `replicas.py`; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from slicewise.pool.rollout.keeping import ZoneWorkers, keep_of
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.rollout.view import RolloutView
from slicewise.pool.zones import ZoneTarget

NO_SLICE_TO_SPARE: Final = (
    "no slice is free in any zone of the pool and no zone has a ready worker above its floor: lower spec.zones.minAvailable, "
    "raise spec.replicas where slices can be had, or add a node; nothing changes until then"
)

ONLY_WORKER: Final = (
    "no slice is free in any zone of the pool, and the only worker that serves is not removed before another one does: see "
    "WorkersReady, or add a node; it goes on when another one serves"
)

OTHERS_FIRST: Final = (
    "no slice is free in any zone of the pool, and no worker that serves is removed while another one is missing: see WorkersReady, or "
    "add a node; it goes on when all serve"
)

HELD_ELSEWHERE: Final = (
    "no slice that the new revision may use is free, and workers that could be removed hold others (spec.slice, or nodeSelector, "
    "affinity and tolerations of spec.worker; a cordoned node; a device called unhealthy, or a node that offers fewer slices than are held "
    "there): free a slice that it may use, uncordon or add a node; see Degraded for such devices; nothing changes until then"
)


def plan_slice(state: RolloutState, view: RolloutView, *, gone: bool) -> RolloutState:
    """Plan the canary's slice before it starts: a free one, else that of a stable worker above the floor, else none.

    `gone`: the stable revision serves nothing any more, so there is no floor to keep for it.
    """
    if not any(target.desired for target in view.targets):
        return replace(state, zone=None, message="the pool has no workers: the new revision takes over at once")
    free = [target.zone for target in view.targets if _in(view, target.zone).free > 0]
    if free:
        zone = max(free, key=lambda name: view.canary[name].free)
        return replace(state, zone=zone, surge=True, message=f"a slice is free in zone {zone!r}")
    spares = keep_of(view.targets, view.canary).spares
    for target in view.targets:
        has = _in(view, target.zone)
        if has.exchangeable and target.desired and _can_spare(target, has, spares, gone=gone):
            which = "of the stable revision, which serves nothing any more" if gone else "above the floor"
            message = f"no slice is free: one stable worker of zone {target.zone!r}, {which}, is removed"
            return replace(state, zone=target.zone, surge=False, message=message)
    elsewhere = any(
        not has.exchangeable and _can_spare(target, has, spares, gone=gone)
        for target, has in ((target, _in(view, target.zone)) for target in view.targets)
        if target.desired
    )
    return replace(
        state, zone=None, surge=False, message=HELD_ELSEWHERE if elsewhere else _none_to_spare(view, gone=gone)
    )


def _none_to_spare(view: RolloutView, *, gone: bool) -> str:
    """Why no worker is removed for the canary."""
    keep = keep_of(view.targets, view.canary)
    if not any(_above_floor(target, _in(view, target.zone), gone=gone) for target in view.targets if target.desired):
        return NO_SLICE_TO_SPARE
    return OTHERS_FIRST if keep.serving < keep.can_serve else ONLY_WORKER


def elsewhere(state: RolloutState, view: RolloutView) -> RolloutState | None:
    """Plan another place for a canary's worker that fits no node of its zone although a slice is free there; None: none is better.

    First the place of a stable worker above the floor, of its own zone if that can spare one, because such a worker gives up whatever
    the nodes lack (CPU, memory, a node without a worker); else a free slice of another zone. The wait goes on counting.
    """
    if not state.surge or not _in(view, state.zone or "").unfit:
        return None
    why = f"the free slices of zone {state.zone!r} do not fit the new worker"
    spares = keep_of(view.targets, view.canary).spares
    for target in sorted(view.targets, key=lambda target: target.zone != state.zone):
        has = _in(view, target.zone)
        if has.exchangeable and target.desired and _can_spare(target, has, spares, gone=view.stable_gone):
            message = f"{why}: one stable worker of zone {target.zone!r}, above the floor, is removed"
            return replace(state, zone=target.zone, surge=False, unplaced_since=None, message=message)
    for target in view.targets:
        if target.zone != state.zone and _in(view, target.zone).free > 0:
            message = f"{why}: another is free in zone {target.zone!r}"
            return replace(state, zone=target.zone, unplaced_since=None, message=message)
    return None


def _can_spare(target: ZoneTarget, has: ZoneWorkers, spares: int, *, gone: bool) -> bool:
    """Whether removing a stable worker gives a slice, and leaves enough in its zone and in the pool (`spares`: see `Keep`)."""
    return (has.old_idle > 0 or spares > 0) and _above_floor(target, has, gone=gone)


def _above_floor(target: ZoneTarget, has: ZoneWorkers, *, gone: bool) -> bool:
    """Whether removing a stable worker gives a slice and leaves the floor. One that serves nothing costs no floor."""
    if has.old <= beside_canary(target, has, gone=gone):
        return False
    serving = min(has.old_serving, has.old)
    if has.old_idle:
        return gone or serving >= target.floor
    return serving - 1 >= target.floor


def beside_canary(target: ZoneTarget, has: ZoneWorkers, *, gone: bool) -> int:
    """Return how many stable workers a zone keeps of which one has left its place to the canary; never below the zone's floor.

    A zone may have more workers than desired (other zones lack some) and fewer slices than desired workers, so what counts is the
    slices that are there, and the floor less the canary's own worker once that serves.
    """
    places = target.desired if has.room is None else min(target.desired, has.room)
    return max(0, places - 1, 0 if gone else target.floor - has.new_serving)


def lost_place(state: RolloutState, view: RolloutView) -> bool:
    """Return whether the canary's worker has no slice and gets none where it was to be: its node has gone, or its zone's slices have."""
    if state.zone not in {target.zone for target in view.targets}:
        return True
    has = _in(view, state.zone or "")
    return has.new_unplaced > 0 and has.short > has.releasing


def give_place(zone: str, view: RolloutView, steady: Mapping[str, int], *, gone: bool) -> dict[str, int]:
    """Return zone → stable workers where one of `zone` has left its place to the canary."""
    target = next((target for target in view.targets if target.zone == zone), None)
    if target is None:
        return dict(steady)
    has = _in(view, zone)
    stays = min(steady.get(zone, 0), beside_canary(target, has, gone=gone))
    serving, spares = min(has.old, has.old_serving), keep_of(view.targets, view.canary).spares
    if stays < serving:  # another worker may have gone since this was planned, and a zone may have more than its own
        stays = max(stays, min(steady.get(zone, 0), serving - spares if spares > 0 else has.old))
    # One more than desired may serve: the successor of one on a cordoned node. One goes for the canary, and no other before that serves.
    if has.old > target.desired:
        stays = max(stays, min(steady.get(zone, 0), has.old - 1))
    if has.new > has.new_unplaced + has.new_serving:
        stays = max(stays, min(steady.get(zone, 0), serving))
    return {**steady, zone: stays}


def _in(view: RolloutView, zone: str) -> ZoneWorkers:
    return view.canary.get(zone, ZoneWorkers())
