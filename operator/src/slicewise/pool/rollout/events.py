"""The Events of a rollout: one per transition, with its numbers. Pure."""

from __future__ import annotations

from slicewise.pool.outcome import Event
from slicewise.pool.rollout.state import GIVEN_UP, Phase, RolloutState
from slicewise.pool.rollout.words import TOO_LITTLE


def rollout_events(before: RolloutState, after: RolloutState) -> tuple[Event, ...]:
    """Return the Events of the way from one stored state to the next."""
    told = [_phase(before, after), _course(before, after), _outlook(before, after), _request(before, after)]
    return tuple(event for event in told if event is not None)


def _phase(before: RolloutState, after: RolloutState) -> Event | None:
    if before.phase is after.phase and before.stable == after.stable and before.started_at == after.started_at:
        return None
    if after.phase is Phase.IDLE and before.phase is Phase.PROMOTING:
        return Event("Normal", "Promoted", f"{after.stable}: {after.message}")
    text = f"{after.target or after.stable}: {after.message}"
    bad = after.phase in GIVEN_UP
    return Event("Warning" if bad else "Normal", f"Rollout{after.phase}", text)


def _course(before: RolloutState, after: RolloutState) -> Event | None:
    """What happens within the analysis, or to a rollout as a whole without a change of its phase."""
    if before.phase is not after.phase:
        return None
    text = f"{after.target}: {after.message}"
    if after.held and not before.held:
        return Event("Warning", "RolloutUndecided", text)
    if after.paused != before.paused and after.target is not None:
        word = "held where it is" if after.paused else "goes on"
        return Event("Normal", "RolloutPaused" if after.paused else "RolloutResumed", f"{after.target}: {word}")
    if after.phase is not Phase.ANALYSING:
        return None
    if after.step != before.step:
        return Event("Normal", "RolloutAnalysing", text)
    if (after.weight or 0) > (before.weight or 0):
        return Event("Normal", "RolloutExtended", text)
    return None


def _outlook(before: RolloutState, after: RolloutState) -> Event | None:
    new = after.record.outlook if after.record is not None else ""
    old = before.record.outlook if before.record is not None else ""
    if not new or new == old:
        return None
    return Event("Warning" if new.startswith(TOO_LITTLE) else "Normal", "RolloutOutlook", f"{after.target}: {new}")


def _request(before: RolloutState, after: RolloutState) -> Event | None:
    if not after.request or after.request == before.request:
        return None
    return Event("Warning", "RequestNotUnderstood", after.request)
