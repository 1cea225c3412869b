"""The CPU fallback: when its workers are asked for, and when they are no longer. Called by `plan_pool`; pure.

    no slice serves for GONE_SECONDS   → active
    slices serve for BACK_SECONDS      → not active

and at least REST_SECONDS between two switches, so that slices which come and go do not start and end workers on CPU each time. Which
worker answers is not decided here: Envoy sends requests to the fallback only while no worker on a slice is healthy, at once and by
itself. The state is in `status.fallback`, so a new leader goes on with it.

A clock that goes back makes both times begin again at its new reading, so nothing waits longer than it would from now on. One that
leaps ahead ends a wait early, once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final, Literal

from slicewise.api.v1alpha1 import CpuFallback, InferencePool
from slicewise.api.v1alpha1.status import FallbackStatus, PoolStatus
from slicewise.pool.rollout.times import format_time, read_time

GONE_SECONDS: Final = 15.0
"""How long no slice serves before workers on CPU are started: longer than a worker takes that only starts again."""
BACK_SECONDS: Final = 60.0
"""How long slices serve before they are ended."""
REST_SECONDS: Final = 60.0
"""Between two switches."""


@dataclass(frozen=True, slots=True)
class FallbackState:
    """What `status.fallback` says. Times in seconds since the epoch."""

    active: bool = False
    switched_at: float | None = None
    turning_since: float | None = None
    """Since when something speaks for a switch."""


@dataclass(frozen=True, slots=True)
class Fallback:
    """What a pass decides about the fallback of a pool that has one."""

    spec: CpuFallback
    state: FallbackState
    """After this pass."""
    wanted: bool
    """Whether any worker is desired: a pool that is suspended or has none on purpose has no fallback either."""
    serves: bool
    """Whether a worker on a slice serves."""
    replicas: int
    """Workers that its Deployment asks for, by the stored state."""
    switched_to: Literal["cpu", "slices"] | None = None
    wait: float | None = None
    """Seconds until the next switch if everything stays as it is."""


def plan_fallback(
    pool: InferencePool, status: PoolStatus, *, serves: bool, desired: int, now: float
) -> Fallback | None:
    """Return the decision; None where the spec has no fallback. `serves`: whether a worker on a slice does; `desired`: workers."""
    if pool.spec.fallback is None:
        return None
    spec, before, wanted = pool.spec.fallback.cpu, read_fallback(status), desired > 0
    after = advance(before, serves=serves, wanted=wanted, now=now)
    switched: Literal["cpu", "slices"] | None = None
    if after.active != before.active:
        switched = "cpu" if after.active else "slices"
    stands = wanted and (before.active or spec.warm)
    wait = None if after.turning_since is None else max(0.0, _due(after) - now)
    return Fallback(spec, after, wanted, serves, spec.replicas if stands else 0, switched, wait)


def advance(state: FallbackState, *, serves: bool, wanted: bool, now: float) -> FallbackState:
    """Return the state after a look. `wanted`: whether any worker is desired."""
    state = FallbackState(state.active, _known(state.switched_at, now), _known(state.turning_since, now))
    if not wanted:
        return FallbackState(switched_at=_stored(now) if state.active else state.switched_at)
    if state.active is not serves:
        return replace(state, turning_since=None)
    state = replace(state, turning_since=_stored(now) if state.turning_since is None else state.turning_since)
    if now < _due(state):
        return state
    return FallbackState(not state.active, _stored(now))


def _due(state: FallbackState) -> float:
    """When a state in which something speaks for a switch switches."""
    since = state.turning_since or 0.0
    rested = 0.0 if state.switched_at is None else state.switched_at + REST_SECONDS
    return max(since + (BACK_SECONDS if state.active else GONE_SECONDS), rested)


def _known(time: float | None, now: float) -> float | None:
    """A stored time, or now where the clock was set back behind it."""
    return _stored(now) if time is not None and time > now + 1 else time


def _stored(now: float) -> float:
    """Times are stored in whole seconds; rounded up, so that no wait is cut short."""
    return float(math.ceil(now))


def read_fallback(status: PoolStatus) -> FallbackState:
    """Return the stored state; what is missing or not understood counts as not active."""
    found = status.fallback or FallbackStatus()
    return FallbackState(bool(found.active), read_time(found.switched_at), read_time(found.turning_since))


def write_fallback(state: FallbackState) -> FallbackStatus:
    """Return what `status.fallback` says of a state."""
    return FallbackStatus(
        active=state.active,
        switched_at=format_time(state.switched_at),
        turning_since=format_time(state.turning_since),
    )
