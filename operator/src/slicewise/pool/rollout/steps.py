"""Steps: how many workers each revision has in each zone while one replaces the other.

One worker at a time, a free slice first, else one worker above the floor gives way. Called by `machine.py`; pure, and without
memory: the replicas that the Deployments ask for are the state, and every step is given as absolute numbers, so a step
repeated after a crash or on a stale view asks for the same again.

Worked example, one zone, 2 → 2 workers, floor 1, no free slice (old, new):

    (2, 0) no slice free, one above the floor gives way → (1, 0) its slice is free → (1, 1) new one serves
    → (0, 1) the floor holds → (0, 2)

With a free slice: (2, 0) → (2, 1) → (1, 1) → (1, 2) → (0, 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class ZoneWorkers:
    """What one zone has now."""

    old: int = 0
    """Replicas asked for of the revision that goes."""
    new: int = 0
    """Replicas asked for of the revision that comes."""
    old_serving: int = 0
    new_serving: int = 0
    free: int = 0
    """Slices that a further worker of this pool could take."""
    exchangeable: bool = True
    """Whether a worker that goes leaves a slice that the one that comes can use (both revisions name the same profile)."""
    new_unplaced: int = 0
    """Workers of the revision that comes which wait for a node."""
    short: int = 0
    """Workers of either revision which wait for a slice that is not there."""
    old_idle: int = 0
    """Workers of the revision that goes which hold a slice and take no requests."""
    releasing: int = 0
    """Workers of the pool that terminate, or are about to, and still hold a slice."""
    unfit: bool = False
    """Whether a worker of the revision that comes has long been refused by all nodes beside free slices; `free` is 0 then."""
    room: int | None = None
    """Slices that the pool's workers hold or could take; None where that is not known."""


@dataclass(frozen=True, slots=True)
class Step:
    """Replicas to ask for, by zone, and what the step waits for."""

    old: Mapping[str, int]
    new: Mapping[str, int]
    done: bool = False
    """The new revision has all it is to have, and serves; the old one has nothing."""
    blocked: tuple[str, ...] = ()
    """Zones in which neither a slice is free nor a worker above the floor."""
    releasing: tuple[str, ...] = ()
    """Zones in which the next worker waits for terminating ones to release their slices."""


def replace_step(targets: Sequence[ZoneTarget], workers: Mapping[str, ZoneWorkers]) -> Step:
    """Return the next step of replacing the old revision by the new one.

    Zones that are no longer part of the pool give up their workers of either revision last, when all others are done.
    """
    old = {zone: entry.old for zone, entry in workers.items()}
    new = {zone: entry.new for zone, entry in workers.items()}
    blocked: list[str] = []
    releasing: list[str] = []
    surplus, scheduling = "", False
    for target in targets:
        move = _zone_move(target, workers.get(target.zone, ZoneWorkers()))
        if move is None:
            continue
        if move in {_RELEASE, _HOLD_FOR_RELEASE}:
            releasing.append(target.zone)
        scheduling = scheduling or move == _SCHEDULING
        if move in {_BLOCKED, _RELEASE, _SCHEDULING}:
            blocked += [target.zone] if move == _BLOCKED else []
            continue
        if move == _SURPLUS:
            # A canary in a zone that is to have none is the one that takes the requests, until the others have theirs.
            surplus = target.zone
            continue
        old[target.zone] = old.get(target.zone, 0) + move[0]
        new[target.zone] = new.get(target.zone, 0) + move[1]
        return Step(old, new, blocked=tuple(blocked), releasing=tuple(releasing))
    if blocked or releasing or scheduling:
        return Step(old, new, blocked=tuple(blocked), releasing=tuple(releasing))
    if surplus:
        new[surplus] -= 1
        return Step(old, new)
    inside = {target.zone for target in targets}
    leaving = [zone for zone in workers if zone not in inside]
    for zone in leaving:
        old[zone] = new[zone] = 0
    return Step(old, new, done=not any(workers[zone].old or workers[zone].new for zone in leaving))


_Move = tuple[int, int, str]
_BLOCKED: Final[_Move] = (0, 0, "blocked")
"""This zone cannot go on, which is no reason to hold the others."""
_RELEASE: Final[_Move] = (0, 0, "waits for a slice to be released")
"""A worker that terminates holds the slice this zone needs, which is no reason to hold the others."""
_HOLD_FOR_RELEASE: Final[_Move] = (0, 0, "a worker has been removed and its slice is being released")
"""The same, in the middle of an exchange; one thing at a time."""
_SCHEDULING: Final[_Move] = (0, 0, "is about to be placed")
"""A slice is there for the worker, and the scheduler has not placed it yet, which is no reason to hold the others."""
_SURPLUS: Final[_Move] = (0, -1, "scaled down")
"""This zone has more of the revision that comes than it is to have."""
_WAIT: Final[_Move] = (0, 0, "wait")
"""Something is under way here; one thing at a time."""


def _zone_move(target: ZoneTarget, has: ZoneWorkers) -> _Move | None:
    """Return (change of old, change of new, why) for one zone; None when it has arrived."""
    serving = min(has.old_serving, has.old) + min(has.new_serving, has.new)
    idle_old = has.old - min(has.old_serving, has.old)
    may_go = idle_old > 0 or serving - 1 >= target.floor
    if has.new > target.desired:
        return _SURPLUS
    if has.old == 0 and has.new == target.desired and nothing_to_be_had(has):
        return None
    if has.new > has.new_serving:
        return _while_new_starts(target, has, idle_old, may_go=may_go)
    if has.old == 0 and has.new == target.desired:
        return None
    return _exchange(target, has, may_go=may_go)


def _exchange(target: ZoneTarget, has: ZoneWorkers, *, may_go: bool) -> _Move:
    """All workers of the revision that comes serve: the next one starts, or an old one goes. `may_go`: the floor allows that."""
    asked = has.old + has.new
    if has.old and asked > target.desired:
        return (-1, 0, "its place is taken") if may_go else _BLOCKED
    vacant = asked < target.desired
    if vacant and has.old == 0:
        return (0, 1, "a place is vacant")
    if has.free > 0:
        return (0, 1, "a slice is free")
    if vacant and (has.room is None or asked < has.room):
        # A slice is about to be free; where the pool is larger than what there is, none will be.
        return _HOLD_FOR_RELEASE if has.releasing else _WAIT
    if has.exchangeable and may_go:
        return (-1, 0, "gives way")
    return _RELEASE if has.releasing else _BLOCKED


def nothing_to_be_had(has: ZoneWorkers) -> bool:
    """Return whether all that the revision that comes still lacks here waits for slices that are nowhere to be had."""
    lacking = has.new - has.new_serving
    known = has.room is not None
    return known and 0 < lacking <= has.new_unplaced <= has.short and has.free == 0 and has.releasing == 0


def _while_new_starts(target: ZoneTarget, has: ZoneWorkers, idle_old: int, *, may_go: bool) -> _Move:
    """A new worker starts: nothing else moves, but for old workers that do not serve and hold the place it needs.

    One that no free slice fits (`unplaced.py`), or that finds none, gets the place of an old one too many, where the floor allows that.
    """
    if idle_old > 0 and has.old + has.new > target.desired and has.free == 0:
        return (-1, 0, "does not serve")
    if has.new_unplaced == 0 or has.free > 0:
        return _WAIT
    if has.releasing:
        return _RELEASE
    if not (has.unfit or has.short):
        return _SCHEDULING
    if has.exchangeable and may_go and has.old and has.old + has.new > target.desired:
        return (-1, 0, "gives way to one that has no place")
    return _BLOCKED
