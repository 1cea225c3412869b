"""Steps: how many workers each revision has in each zone while one replaces the other.

One worker at a time, a free slice first, else one worker is removed: above its zone's floor, and not before the pool has all but one of
those that it can have (`keeping.py`). Called by `machine.py`; pure, and without memory: the replicas that the Deployments ask for are the
state, and every step is given as absolute numbers, so a step repeated after a crash or on a stale view asks for the same again.

Worked example, one zone, 2 → 2 workers, floor 1, no free slice (old, new):

    (2, 0) no slice free, one above the floor is removed → (1, 0) its slice is free → (1, 1) new one serves
    → (0, 1) the floor holds → (0, 2)

With a free slice: (2, 0) → (2, 1) → (1, 1) → (1, 2) → (0, 2).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from slicewise.pool.rollout.keeping import Keep, ZoneWorkers, keep_of
from slicewise.pool.zones import ZoneTarget


@dataclass(frozen=True, slots=True)
class Step:
    """Replicas to ask for, by zone, and what the step waits for."""

    old: Mapping[str, int]
    new: Mapping[str, int]
    done: bool = False
    """The new revision has all its replicas serving; the old one has none."""
    blocked: tuple[str, ...] = ()
    """Zones in which neither a slice is free nor a worker that can be spared."""
    releasing: tuple[str, ...] = ()
    """Zones in which the next worker waits for terminating ones to release their slices."""


def replace_step(targets: Sequence[ZoneTarget], workers: Mapping[str, ZoneWorkers]) -> Step:
    """Return the next step of replacing the old revision by the new one.

    Zones that are no longer part of the pool give up their workers of either revision last, when all others are done.
    """
    keep = keep_of(targets, workers)
    old = {zone: entry.old for zone, entry in workers.items()}
    new = {zone: entry.new for zone, entry in workers.items()}
    found: list[tuple[str, _Move]] = []
    for target in targets:
        move = _zone_move(target, workers.get(target.zone, ZoneWorkers()), keep)
        if move is None:
            continue
        found.append((target.zone, move))
        if move not in _LETS_OTHERS_GO_ON:
            old[target.zone] = old.get(target.zone, 0) + move[0]
            new[target.zone] = new.get(target.zone, 0) + move[1]
            return Step(old, new, blocked=_in(found, _BLOCKED), releasing=_in(found, _RELEASE, _HOLD_FOR_RELEASE))
    if any(move != _SURPLUS for _, move in found):
        return Step(old, new, blocked=_in(found, _BLOCKED), releasing=_in(found, _RELEASE))
    if found:
        # A canary in a zone without desired workers is the one that takes the requests, until the others have theirs.
        zone = found[-1][0]
        if workers[zone].new > workers[zone].new_serving or keep.spares > 0:
            new[zone] -= 1
            return Step(old, new)
        return Step(old, new, blocked=(zone,))
    return _leave(targets, workers, keep)


def _leave(targets: Sequence[ZoneTarget], workers: Mapping[str, ZoneWorkers], keep: Keep) -> Step:
    """All zones of the pool have what they can have: the others give up theirs, as far as they can be spared.

    They may hold the very slices that the zones of the pool lack, as where all zones are renamed, so one that goes has its place taken
    before the next one goes.
    """
    inside = {target.zone for target in targets}
    leaving = {zone: entry for zone, entry in workers.items() if zone not in inside}
    going = sum(entry.releasing for entry in leaving.values())
    spares = max(0, keep.serving - keep.can_serve if going and keep.can_serve else keep.spares)
    old = {zone: entry.old for zone, entry in workers.items()}
    new = {zone: entry.new for zone, entry in workers.items()}
    held = []
    for zone, entry in leaving.items():
        for side, up in ((old, min(entry.old, entry.old_serving)), (new, min(entry.new, entry.new_serving))):
            side[zone] = max(0, up - spares)
            spares -= up - side[zone]
        held += [zone] if old[zone] or new[zone] else []
    done = not any(entry.old or entry.new for entry in leaving.values())
    moves = any((old[zone], new[zone]) != (entry.old, entry.new) for zone, entry in leaving.items())
    return Step(old, new, done=done, blocked=() if moves or going else tuple(held))


def _in(found: Sequence[tuple[str, _Move]], *moves: _Move) -> tuple[str, ...]:
    return tuple(zone for zone, move in found if move in moves)


_Move = tuple[int, int, str]
_BLOCKED: Final[_Move] = (0, 0, "blocked")
"""This zone cannot go on, which is no reason to hold the others."""
_RELEASE: Final[_Move] = (0, 0, "waits for a slice to be released")
"""A worker that terminates holds the slice this zone needs, which is no reason to hold the others."""
_HOLD_FOR_RELEASE: Final[_Move] = (0, 0, "a worker has been removed and its slice is being released")
"""The same, in the middle of an exchange; one thing at a time."""
_SCHEDULING: Final[_Move] = (0, 0, "is about to be placed")
"""A slice is there for the worker, and the scheduler has not placed it yet, which is no reason to hold the others."""
_OTHERS: Final[_Move] = (0, 0, "waits for workers of other zones")
"""A worker that serves would be removed, but workers of other zones that are starting come first."""
_SURPLUS: Final[_Move] = (0, -1, "scaled down")
"""This zone has more of the new revision than desired."""
_WAIT: Final[_Move] = (0, 0, "wait")
"""Something is under way here; one thing at a time."""
_LETS_OTHERS_GO_ON: Final = {_BLOCKED, _RELEASE, _SCHEDULING, _OTHERS, _SURPLUS}


def _zone_move(target: ZoneTarget, has: ZoneWorkers, keep: Keep) -> _Move | None:
    """Return (change of old, change of new, why) for one zone; None when it has arrived."""
    idle_old = has.old - min(has.old_serving, has.old)
    may_go = idle_old > 0 or has.serving - 1 >= target.floor
    move = _in_zone(target, has, idle_old, may_go=may_go)
    if move is None or move[0] >= 0 or idle_old > 0 or keep.spares > 0:
        return move
    return _OTHERS if keep.serving < keep.can_serve else _BLOCKED


def _in_zone(target: ZoneTarget, has: ZoneWorkers, idle_old: int, *, may_go: bool) -> _Move | None:
    """The same by what the zone has. `may_go`: its floor allows that an old one goes."""
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
