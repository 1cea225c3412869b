"""Standing: whether the stable revision is one. Called by `machine.py`; pure.

- It has *never served*: no worker of it has ever taken requests. Then there is nothing to protect and nothing to compare with, and what
  the spec asks for takes its place at once, as the first revision of a new pool does.
- It is *gone*: it has served, and for `STABLE_GONE_SECONDS` no worker of it has. Then nothing waits for it: its workers leave their slices
  to the new revision, which takes over without a verdict as soon as it serves. Until then a worker of it that comes back counts again.
- In every other case, also where one zone serves and the others do not, it is the stable revision.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.rollout.view import RolloutView

STABLE_GONE_SECONDS: Final = 120.0
"""How long no worker of the stable revision serves before nothing waits for it. A drain or a restart of a node is no reason."""


def with_stable(state: RolloutState, wanted: str, serving: Mapping[str, int], now: float) -> RolloutState:
    """Return `state` with a stable revision: the one recorded, else what serves, else what the spec asks for.

    `serving`: stored revision → workers that take requests. What serves is never thrown away for a record that is lost, or that names a
    revision which never served (a worker of the one before it became ready just when it was replaced).
    """
    if state.served or (state.stable is not None and serving.get(state.stable)):
        return state
    most = max(serving, key=lambda name: (serving[name], name), default=None)
    if most is None or not serving[most] or most == state.canary:
        return state if state.stable is not None else replace(state, stable=wanted, phase_since=now)
    return RolloutState(stable=most, phase_since=now, message=f"revision {most} serves")


def look(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    """Return `state` with what is seen of the stable revision's workers now."""
    if view.stable_serving() > 0:
        return replace(state, served=True, down_since=None)
    if not state.served:
        return replace(state, down_since=None)
    since = state.down_since
    # If the clock went back, the wait starts again; else it could last for ever.
    return replace(state, down_since=now if since is None or since > now + 1 else since)


def handed_on(before: RolloutState, after: RolloutState, view: RolloutView) -> RolloutState:
    """Return `after` with the standing of its own stable revision. `before`: the state from `look`."""
    if after.stable == before.stable:
        return replace(after, served=before.served, down_since=before.down_since)
    served = after.stable == before.canary and view.canary_serving() > 0
    return replace(after, served=served, down_since=None)


def is_gone(state: RolloutState, now: float) -> bool:
    """Return whether the stable revision served once and has had no worker that serves for `STABLE_GONE_SECONDS`."""
    return state.down_since is not None and now - state.down_since >= STABLE_GONE_SECONDS


def without_stable(state: RolloutState, view: RolloutView, now: float) -> RolloutState | None:
    """Return the state in which another revision is the stable one because the present one never served; None where it has."""
    if state.served:
        return None
    if state.canary is not None and view.canary_serving():
        return RolloutState(
            stable=state.canary, phase_since=now, message=f"revision {state.canary} serves, {state.stable} never did"
        )
    if view.wanted == state.stable and state.phase is Phase.IDLE:
        return None
    replaced = f"; revision {state.stable} never served" if state.stable not in {None, view.wanted} else ""
    return RolloutState(stable=view.wanted, phase_since=now, message=f"first revision{replaced}")


def is_late(state: RolloutState, view: RolloutView, now: float) -> bool:
    """Return whether the phase has lasted longer than the deadline, with workers of the stable revision that do not become ready."""
    late = view.stable_late_in is not None and view.stable_late_in < 0
    return late and now - (state.phase_since or now) > view.progress_deadline


def waits_for_gone(state: RolloutState, view: RolloutView, now: float) -> str:
    """Return what a person can do about a roll-back to a stable revision that is gone, or does not get whole; empty if none is needed."""
    if state.phase is not Phase.ROLLING_BACK or view.wanted == state.stable or view.holds(state):
        return ""
    if not is_gone(state, now):
        return _stuck(state, view) if is_late(state, view, now) else ""
    if view.wanted != state.target:
        return ""
    way = "promote" if view.canary_serving() else "retry"
    then = "keeps the new one, which serves" if view.canary_serving() else "tries the new one again"
    return (
        f"no worker of the stable revision {state.stable} is ready, so nothing can be rolled back to it: change the spec, or "
        f"`kubectl slicewise {way} {view.pool}` {then}"
    )


def _stuck(state: RolloutState, view: RolloutView) -> str:
    if not view.canary_serving() and view.wanted != state.target:
        return ""  # what the spec asks for now is rolled out
    late = (
        f"workers of the stable revision {state.stable} have not become ready within {view.progress_deadline:.0f} s "
        f"(spec.rollout.progressDeadline), so revision {state.target} cannot be taken back everywhere. WorkersReady says what is wrong "
        "with them; fix that, or "
    )
    if not view.canary_serving():
        return f"{late}change the spec"
    again = "" if view.wanted == state.target else f"ask for revision {state.target} again in the spec, then "
    return f"{late}{again}`kubectl slicewise promote {view.pool}` keeps revision {state.target}"


def seconds_until_gone(state: RolloutState, now: float) -> float | None:
    """Return how long until the stable revision counts as gone; None where it serves, never served, or is gone already."""
    if state.down_since is None or is_gone(state, now):
        return None
    return max(1.0, state.down_since + STABLE_GONE_SECONDS - now)
