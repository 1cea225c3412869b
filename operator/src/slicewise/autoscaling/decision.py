"""The decision: desired workers from the load, the bounds and the number so far. Pure; called by `plan_pool` once a pass.

    up      at once, to what the target makes of the requests
    wake    from 0 to 1 with the first request
    down    to the most that the load asked for within the hold, once the load was known all that time
    sleep   to 0 after `idle_after` without a request, where `least` is 0
    else    the number stays, and also where the load is not known

Nothing here looks at memory: a KV cache that grows is no load.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from slicewise.autoscaling.hold import SHORTEST_HOLD, choose_hold
from slicewise.autoscaling.target import Target
from slicewise.autoscaling.window import NOT_READ, Load

TOLD_SECONDS: Final = 10.0
"""How long the load may be unknown before that is said: one reading that fails is no news."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the number of workers must keep to."""

    least: int
    most: int
    target: Target
    """Requests that run or wait for each worker."""
    cold_start: float | None = None
    """Seconds from a worker's place on a node until it serves; None where none was measured."""
    room: int | None = None
    """Workers for which there are slices, those that are there included; None where that is not known."""
    idle_after: float = float("inf")
    """Seconds without a request after which the last worker may go, where `least` is 0."""
    may_shrink: bool = True
    """False while workers move for another reason, such as a rollout: what is measured then should not change under it."""


class Why(Enum):
    """What decided the number."""

    LOAD = "load"
    """The load asks for just this many."""
    HOLD = "hold"
    """Fewer would do now; the number goes down after the hold."""
    LEAST = "least"
    """`minReplicas` or the floors ask for more than the load."""
    MOST = "most"
    """The load asks for more than `maxReplicas`."""
    ROOM = "room"
    """The load asks for more than there are slices."""
    UNKNOWN = "unknown"
    """The load is not known, or not all of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """How many workers there should be."""

    desired: int
    why: Why
    wanted: int | None
    """What the load alone asks for; None where it is not known."""
    hold: float
    """Seconds over which it looked back."""


def decide(bounds: Bounds, load: Load, before: int | None) -> Decision:
    """Return the desired number of workers. `before`: the number so far; None for a new pool."""
    least = max(0, bounds.least)
    most = max(least, bounds.most)
    # A new pool begins with a worker, also where 0 is its least: so it is seen whether it can serve at all.
    last = min(most, max(least, max(1, least) if before is None else before))
    hold = choose_hold(load.history, bounds.target, bounds.cold_start)
    if load.requests is None:
        return Decision(last, Why.UNKNOWN if _is_told(load) else Why.HOLD, None, hold.seconds)
    wanted = bounds.target.workers(load.requests, hold.spare)
    held = max(wanted, bounds.target.workers(load.peak(hold.seconds), hold.spare))
    sure = load.covered >= hold.seconds and not load.trouble and bounds.may_shrink
    goal = max(wanted, min(last, held) if sure else last)
    goal = _asleep_or_awake(goal, last, bounds, load)
    # What is there already stays: a count of slices that falls short of it is no reason to end a worker that serves.
    room = most if bounds.room is None else max(bounds.room, last)
    desired = min(most, max(least, min(goal, room)))
    # What lasted for a moment within the shortest hold still limits, or the reason would change with every request.
    asked = max(wanted, bounds.target.workers(load.peak(SHORTEST_HOLD), hold.spare))
    return Decision(desired, _why(asked, wanted, desired, (least, most), load), wanted, hold.seconds)


def _asleep_or_awake(goal: int, last: int, bounds: Bounds, load: Load) -> int:
    if not last:
        return (
            max(goal, 1) if load.latest else goal
        )  # the first request wakes the pool, whether its client stays or not
    if load.idle < bounds.idle_after:
        return max(goal, 1)
    return 0 if bounds.may_shrink else goal  # the user has said how long to wait, so no hold does


def _is_told(load: Load) -> bool:
    return bool(load.trouble) and (load.troubled >= TOLD_SECONDS or load.trouble == NOT_READ)


def _why(asked: int, wanted: int, desired: int, bounds: tuple[int, int], load: Load) -> Why:
    least, most = bounds
    if asked > desired:
        return Why.MOST if desired == most else Why.ROOM
    if _is_told(load):
        return Why.UNKNOWN
    if wanted == desired:
        return Why.LOAD
    return Why.LEAST if desired == least else Why.HOLD
