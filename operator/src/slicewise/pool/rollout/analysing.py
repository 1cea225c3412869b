"""The phase Analysing: what follows from a verdict. Steps, windows that are extended, weights that grow, the deadline. Pure.

Times are counted in seconds in which the counters were looked at: a clock that steps, an operator that was away and a pause neither
use up a window nor a deadline.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from slicewise.api.v1alpha1.rollout import CanarySpec, OnUndecided
from slicewise.api.v1alpha1.status import LimitsStatus
from slicewise.pool.rollout.gate import ERRORS, LATENCY, REFUSALS, Verdict
from slicewise.pool.rollout.request import Action, Request
from slicewise.pool.rollout.state import Phase, RolloutState, to
from slicewise.pool.rollout.verdict import Course, fresh, next_record, steps_of
from slicewise.pool.rollout.verdict_record import VerdictRecord
from slicewise.pool.rollout.view import RolloutView
from slicewise.pool.rollout.words import duration

WRITE_SECONDS: Final = 5.0
"""How often the numbers of a verdict are written while nothing follows from them."""
LOOK_SECONDS: Final = 1.0
"""How often the counters are looked at."""
_REASONS: Final = {ERRORS: "TooManyErrors", LATENCY: "TooSlow", REFUSALS: "RefusesRequests"}
_SUSPECT: Final = 10.0
"""Evidence of more refusals than stable's from which on a canary gets no larger weight."""


def begin(state: RolloutState, gate: CanarySpec | None, now: float) -> RolloutState:
    """Return the state in which the canary's worker serves and is judged, from the first step or from where it was before."""
    if gate is None:
        return to(state, Phase.ANALYSING, now, "the canary's worker serves")
    if state.step is not None and state.record is not None:
        return to(
            state, Phase.ANALYSING, now, f"the canary's worker serves again and gets {state.weight} % of the requests"
        )
    return _at_step(replace(state, phase=Phase.ANALYSING, phase_since=now), gate, 0, now, "the canary's worker serves")


def analyse(state: RolloutState, view: RolloutView, now: float) -> RolloutState:
    """Return the state after a look at the canary."""
    gate = view.gate
    if gate is None:
        return to(state, Phase.PROMOTING, now, "its first worker serves; spec.rollout.canary asks for no more")
    known = _follow_spec(state, view, gate, now)
    if known.record is None or known.record is not state.record:
        return known if view.canary_serving() else _away(known, now)
    course = _course(known, view, gate)
    record = next_record(known.record, course, view.measured, now)
    if record.verdict is Verdict.FAIL:
        failed = replace(known, record=record)
        return give_up(failed, _REASONS[record.cause], _at(course, record.message), now)
    if not view.canary_serving():
        return _away(replace(known, record=record), now)
    if course.paused:
        return _recorded(known, record, course, now)
    return _acted_on(known, record, course, view, now)


def give_up(state: RolloutState, reason: str, message: str, now: float) -> RolloutState:
    """Return the state in which the canary is taken back for good."""
    return replace(to(state, Phase.ROLLING_BACK, now, message), abort_reason=reason, held=False, step_since=now)


def _away(state: RolloutState, now: float) -> RolloutState:
    """The canary's worker is no longer there. What was counted until then is kept: how it ended may be what speaks against it."""
    return to(state, Phase.WARMING, now, "the canary's worker no longer serves; the stable revision gets all requests")


def _follow_spec(state: RolloutState, view: RolloutView, gate: CanarySpec, now: float) -> RolloutState:
    """The spec may have changed since the step began: fewer steps, a higher weight, another p95."""
    if state.step is None or state.record is None:
        return _at_step(state, gate, 0, now, "the canary is judged now")
    steps = steps_of(gate)
    index = min(state.step, len(steps) - 1)
    weight = max(state.weight or 0, steps[index].weight)
    known = replace(state, step=index, steps=len(steps), weight=weight)
    if (state.record.limits or LimitsStatus()).p95 != gate.p95:
        # What is slow was counted by the old limit; what failed or was refused is so by any.
        before = replace(state.record, tally=state.record.tally + view.measured.tally)
        return replace(known, record=fresh(gate, now, before=before), step_since=now, held=False)
    return known


def _course(state: RolloutState, view: RolloutView, gate: CanarySpec) -> Course:
    steps, index = steps_of(gate), state.step or 0
    up = view.canary_serving()
    return Course(
        canary=gate,
        step=steps[index],
        index=index,
        steps=len(steps),
        weight=state.weight or 0,
        most=100 * up // max(1, up + view.stable_serving()),
        paused=view.holds(state),
    )


def _acted_on(
    state: RolloutState, record: VerdictRecord, course: Course, view: RolloutView, now: float
) -> RolloutState:
    request = view.request
    if isinstance(request, Request) and view.asked(state, Action.SKIP_STEP) and request.step == state.step:
        return _passed(state, record, course, f"skipped by request; {record.message}", now)
    if record.verdict is Verdict.PASS:
        return _passed(state, record, course, record.message, now)
    if record.watched >= course.deadline:
        return _at_deadline(state, record, course, view, now)
    if record.watched - record.window_from >= course.window:
        return _extended(state, record, course, view, now)
    return _recorded(state, record, course, now)


def _passed(state: RolloutState, record: VerdictRecord, course: Course, message: str, now: float) -> RolloutState:
    done = replace(state, record=record, held=False)
    if course.index + 1 < course.steps:
        return _at_step(done, course.canary, course.index + 1, now, _at(course, message))
    return replace(to(done, Phase.PROMOTING, now, _at(course, message)), step_since=now)


def _at_deadline(
    state: RolloutState, record: VerdictRecord, course: Course, view: RolloutView, now: float
) -> RolloutState:
    """Undecided for as long as the spec allows. Counters that cannot be read promote nothing."""
    then = course.canary.on_undecided
    said = f"{record.message}; undecided after {duration(record.watched)} (deadline {course.canary.deadline})"
    if then is OnUndecided.ABORT:
        return give_up(replace(state, record=record), "Undecided", _at(course, f"{said}, onUndecided is Abort"), now)
    if then is OnUndecided.PROMOTE and not view.measured.trouble:
        message = _at(course, f"{said}, onUndecided is Promote: no proof")
        return replace(to(state, Phase.PROMOTING, now, message), record=record, held=False, step_since=now)
    if state.held:
        return _recorded(state, record, course, now)
    message = f"{said}: held. It goes on when enough requests have come, or by request (promote, abort)"
    return replace(state, record=record, held=True, message=_at(course, message))


def _extended(
    state: RolloutState, record: VerdictRecord, course: Course, view: RolloutView, now: float
) -> RolloutState:
    """The window is over and says nothing yet: another one, at twice the weight where that helps."""
    further = replace(record, window_from=record.watched)
    grown = min(2 * course.weight, course.most)
    if not course.canary.grow or view.measured.trouble or grown <= course.weight or _refuses(record):
        return _recorded(state, further, course, now)
    message = f"{record.message}; the weight grows from {course.weight} % to {grown} %"
    return replace(state, record=further, weight=grown, message=_at(course, message))


def _refuses(record: VerdictRecord) -> bool:
    """Whether more of what clients ask would be refused at a larger weight, as far as can be seen."""
    seen = record.tally.canary
    return record.evidence.refused_more >= _SUSPECT or (seen.refused > 0 and seen.requests <= 0)


def _recorded(state: RolloutState, record: VerdictRecord, course: Course, now: float) -> RolloutState:
    """The numbers, if they have not been written a moment ago."""
    last = state.record.at if state.record is not None else None
    if last is not None and 0 <= now - last < WRITE_SECONDS:
        return state
    held = "held as undecided: " if state.held else ""
    return replace(state, record=record, message=_at(course, f"{held}{record.message}"))


def _at_step(state: RolloutState, gate: CanarySpec, index: int, now: float, why: str) -> RolloutState:
    """A step begins. Its weight is never less than the one before grew to."""
    steps = steps_of(gate)
    weight = max(state.weight or 0, steps[index].weight)
    return replace(
        state,
        step=index,
        steps=len(steps),
        weight=weight,
        step_since=now,
        held=False,
        record=fresh(gate, now, before=state.record),
        message=f"{why}; step {index + 1} of {len(steps)} begins, with {weight} % of the requests for {steps[index].window}",
    )


def _at(course: Course, message: str) -> str:
    return f"step {course.index + 1} of {course.steps} at {course.weight} %: {message}"
