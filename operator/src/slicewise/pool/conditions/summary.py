"""Puts `status.conditions` together: the results of all conditions, and Ready, Reconciling, Stalled as their summary. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from slicewise.api.v1alpha1 import ConditionType, Help, Reason
from slicewise.api.v1alpha1.status import ConditionStatus
from slicewise.pool.conditions.accepted import find_accepted
from slicewise.pool.conditions.budget import find_budget
from slicewise.pool.conditions.disruption import find_drain, find_unhealthy_devices
from slicewise.pool.conditions.fallback import fallback_serves, find_fallback
from slicewise.pool.conditions.gateway import find_gateway
from slicewise.pool.conditions.gpu import find_gpu
from slicewise.pool.conditions.jobs import find_jobs
from slicewise.pool.conditions.refusals import find_refusal
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.scaling import find_scaling_active
from slicewise.pool.conditions.shape_words import refused_by_nodes
from slicewise.pool.conditions.workers import find_capacity, find_weights, find_workers
from slicewise.pool.facts import Facts
from slicewise.pool.releasing import waits_for_release
from slicewise.pool.rollout.state import Phase
from slicewise.pool.rollout.times import format_time
from slicewise.pool.rollout.traffic import ALL
from slicewise.pool.rollout.verdict_record import UNREADABLE

_BAD_WHEN_TRUE = {
    ConditionType.BUDGET_AT_RISK,
    ConditionType.DRAIN_BLOCKED,
    ConditionType.DEGRADED,
    ConditionType.FALLBACK_ACTIVE,
}
ConditionResults = dict[ConditionType, ConditionResult]

_CAN_STALL = (
    ConditionType.ACCEPTED,
    ConditionType.WEIGHTS_CACHED,
    ConditionType.WORKERS_READY,
    ConditionType.GATEWAY_PROGRAMMED,
    ConditionType.CAPACITY_AVAILABLE,
    ConditionType.ROLLOUT_PROGRESSING,
)
"""Conditions without which a pool is not ready; if several need a person, the first one is reported."""


def find_all(facts: Facts) -> ConditionResults:
    """Return every condition that applies, in the order of the declared list."""
    found: dict[ConditionType, ConditionResult | None] = {ConditionType.ACCEPTED: find_accepted(facts)}
    if facts.no_profile is None or not facts.no_profile.unsupported:
        found[ConditionType.CAPACITY_AVAILABLE] = find_capacity(facts)
    if facts.demand is not None:
        found[ConditionType.WEIGHTS_CACHED] = find_weights(facts)
        found[ConditionType.WORKERS_READY] = find_workers(facts)
        found[ConditionType.GATEWAY_PROGRAMMED] = find_gateway(facts)
        found[ConditionType.ROLLOUT_PROGRESSING] = _rollout(facts)
        found[ConditionType.SERVING_ON_GPU] = find_gpu(facts)
        found[ConditionType.AUTOSCALING_ACTIVE] = find_scaling_active(facts)
        found[ConditionType.BUDGET_AT_RISK] = find_budget(facts)
        found[ConditionType.DRAIN_BLOCKED] = find_drain(facts)
        found[ConditionType.DEGRADED] = _degraded(facts)
        found[ConditionType.FALLBACK_ACTIVE] = find_fallback(facts)
        found[ConditionType.JOBS_AVAILABLE] = find_jobs(facts)
    rest = {kind: result for kind, result in found.items() if result is not None}
    return {**summarise(facts, rest), **rest}


_PHASE_REASON = {
    Phase.PLACING: Reason.PLACING,
    Phase.WARMING: Reason.WARMING,
    Phase.ANALYSING: Reason.ANALYSING,
    Phase.PROMOTING: Reason.PROMOTING,
    Phase.ROLLING_BACK: Reason.ROLLING_BACK,
}


def _rollout(facts: Facts) -> ConditionResult | None:
    """RolloutProgressing; None where no revision is changing."""
    state, message = facts.state, facts.state.message
    if facts.waits_for:
        return ConditionResult("False", Reason.STABLE_GONE, f"revision {state.target}: {facts.waits_for}")
    if state.phase is Phase.IDLE:
        if state.paused:
            return ConditionResult("False", Reason.PAUSED, message)
        wanted = facts.demand.wanted if facts.demand is not None else state.stable
        return None if wanted == state.stable else ConditionResult("True", Reason.PLACING, f"revision {wanted} is next")
    if state.phase is Phase.ROLLED_BACK:
        return ConditionResult("False", Reason.ROLLED_BACK, f"revision {state.target} was given up: {message}")
    return _rollout_waits(facts) or ConditionResult("True", _PHASE_REASON[state.phase], _rollout_goes_on(facts))


def _rollout_waits(facts: Facts) -> ConditionResult | None:
    """What a rollout that is under way waits for besides time; None where it goes on."""
    state, message = facts.state, facts.state.message
    if state.paused:
        return ConditionResult("False", Reason.PAUSED, f"{state.phase}: {message}")
    if state.phase is Phase.PLACING and state.zone is None and facts.desired:
        return ConditionResult("False", Reason.NO_SLICE_TO_SPARE, message, helps=_spares_later(facts))
    if state.held:
        return ConditionResult("False", Reason.UNDECIDED, f"revision {state.target}: {message}")
    if state.phase is Phase.ANALYSING and state.record is not None and state.record.cause == UNREADABLE:
        return ConditionResult("False", Reason.NO_DATA, f"revision {state.target} cannot be judged: {message}")
    if facts.blocked_zones:
        where = ", ".join(zone or '""' for zone in facts.blocked_zones)
        refused = refused_by_nodes(facts)
        if refused:
            text = f"{state.phase}: waits in zone {where}, where no worker can be spared; {refused}"
            return ConditionResult("False", Reason.NO_SLICE_TO_SPARE, text, helps=Help.EITHER)
        why = ", ".join(facts.blocked_by)
        text = f"{state.phase}: waits in zone {where}, where no slice is free and no worker can be spared ({why}, or the pool's last)"
        return ConditionResult("False", Reason.NO_SLICE_TO_SPARE, text, helps=_spares_later(facts))
    return None


def _spares_later(facts: Facts) -> Help:
    """While a worker is missing, its return lifts a zone above its floor; with all of them there, no slice comes by itself."""
    return Help.EITHER if facts.zones_short or facts.releasing else Help.PERSON


def _rollout_goes_on(facts: Facts) -> str:
    """Where a rollout is, in words."""
    state = facts.state
    if facts.releasing_zones and facts.releasing:
        return f"revision {state.target}: {waits_for_release(facts.releasing)}"
    refused = refused_by_nodes(facts) if state.phase is Phase.PLACING else ""
    if refused:
        return f"revision {state.target}: {state.message}; {refused}"
    alone = state.phase is Phase.ANALYSING and facts.weight == ALL and state.weight != ALL
    gets = f"; it gets all requests: no worker of the stable revision {state.stable} is ready" if alone else ""
    return f"revision {state.target}: {state.message}{gets}"


def _degraded(facts: Facts) -> ConditionResult:
    state = facts.state
    if state.phase is Phase.ROLLED_BACK:
        return ConditionResult(
            "True",
            Reason.ROLLED_BACK,
            f"revision {state.target} was given up: {state.message}. Change the spec, or try it again with "
            f"`kubectl slicewise retry {facts.pool.metadata.name}`",
        )
    unhealthy = find_unhealthy_devices(facts)
    if unhealthy is not None:
        return unhealthy
    left = sum(1 for item in facts.deletions if item.reason == "FailedLeftOver")
    if left and facts.zones_short:
        return ConditionResult(
            "True", Reason.FAILED_PODS_REMOVED, f"{left} failed pods were removed; their replacements are starting"
        )
    return ConditionResult("False", Reason.NOT_DEGRADED, "no rollback, no unhealthy device, no failed pod")


def summarise(facts: Facts, found: Mapping[ConditionType, ConditionResult]) -> ConditionResults:
    """Return Ready, Reconciling and Stalled: what kstatus, Helm `--wait`, Flux and Argo CD read."""
    ready = _ready(facts, found)
    if ready.status != "True" and fallback_serves(facts):
        ready = replace(ready, message=f"{ready.message}; the CPU fallback answers meanwhile")
    stalled = _stalled_beside(found) if ready.status == "True" else _stalled(facts, found)
    if ready.status == "True" and stalled is None:
        working = ConditionResult("False", Reason.DONE, "the pool is as the spec asks for")
    elif stalled is not None:
        working = ConditionResult("False", Reason.DONE, WAITS_FOR_A_PERSON)
    else:
        reason = (
            ready.reason
            if ready.reason in {Reason.ROLLOUT_IN_PROGRESS, Reason.INSUFFICIENT_CAPACITY}
            else Reason.WORKING
        )
        working = ConditionResult("True", reason, ready.message)
    return {
        ConditionType.READY: ready,
        ConditionType.RECONCILING: working,
        ConditionType.STALLED: stalled or _calm(found),
    }


WAITS_FOR_A_PERSON = "the pool waits for a person; Stalled says what to do"


def _stalled(facts: Facts, found: Mapping[ConditionType, ConditionResult]) -> ConditionResult | None:
    if facts.state.phase is Phase.ROLLED_BACK and facts.demand is not None:
        return ConditionResult("True", Reason.ROLLED_BACK, found[ConditionType.DEGRADED].message)
    if facts.waits_for:
        return ConditionResult("True", Reason.STABLE_GONE, facts.waits_for)
    refused = _refused_child(facts)
    for result in (*(found.get(kind) for kind in _CAN_STALL), refused):
        if result is not None and result.status == "False" and result.needs is Help.PERSON:
            return ConditionResult("True", result.reason, result.message)
    return None


def _stalled_beside(found: Mapping[ConditionType, ConditionResult]) -> ConditionResult | None:
    """What of the spec is not carried out for good although the pool serves: its jobs. While it comes up, that is only noted."""
    jobs = found.get(ConditionType.JOBS_AVAILABLE)
    if jobs is None or jobs.status != "False" or jobs.needs is not Help.PERSON:
        return None
    return ConditionResult("True", jobs.reason, f"the pool serves, and takes no jobs: {jobs.message}")


def _calm(found: Mapping[ConditionType, ConditionResult]) -> ConditionResult:
    """Stalled=False: which conditions a person can help with all the same."""
    asking = [
        kind
        for kind, result in found.items()
        if result.advises or (result.status == _bad_status(kind) and result.needs in {Help.EITHER, Help.PERSON})
    ]
    if not asking:
        return ConditionResult("False", Reason.NOT_STALLED, "No manual action needed.")
    say = "says" if len(asking) == 1 else "say"
    return ConditionResult(
        "False", Reason.NOT_STALLED, f"Nothing has failed for good. {', '.join(asking)} {say} what would help."
    )


def _bad_status(kind: ConditionType) -> str:
    return "True" if kind in _BAD_WHEN_TRUE else "False"


def _refused_child(facts: Facts) -> ConditionResult | None:
    """A child that the API server does not take. Workers may all serve beside it, and still the spec is not carried out."""
    refused = find_refusal(facts) if facts.observed.apply_failures else None
    return refused if refused is not None and refused.reason is Reason.APPLY_FAILED else None


def _ready(facts: Facts, found: Mapping[ConditionType, ConditionResult]) -> ConditionResult:
    accepted = found[ConditionType.ACCEPTED]
    if accepted.status == "False":
        return ConditionResult("False", Reason.NOT_ACCEPTED, accepted.message)
    capacity = found[ConditionType.CAPACITY_AVAILABLE]
    workers = found.get(ConditionType.WORKERS_READY)
    if facts.demand is None:
        # Rollout and workers were not looked at, so nothing can be said of them.
        return ConditionResult("False", Reason.INSUFFICIENT_CAPACITY, capacity.message)
    if facts.state.phase is Phase.ROLLED_BACK:
        return ConditionResult("False", Reason.ROLLED_BACK, found[ConditionType.DEGRADED].message)
    if facts.state.phase is not Phase.IDLE or facts.demand.wanted != facts.state.stable:
        return ConditionResult("False", Reason.ROLLOUT_IN_PROGRESS, _what_a_rollout_waits_for(found))
    if workers is None or capacity.status == "False":
        return ConditionResult("False", Reason.INSUFFICIENT_CAPACITY, capacity.message)
    if workers.status != "True":
        weights = found.get(ConditionType.WEIGHTS_CACHED)
        if weights is not None and weights.status == "False" and weights.reason is not Reason.PENDING:
            return ConditionResult("False", Reason.WORKERS_NOT_READY, weights.message)
        return ConditionResult("False", Reason.WORKERS_NOT_READY, workers.message)
    return _served(facts, found, workers)


def _served(facts: Facts, found: Mapping[ConditionType, ConditionResult], workers: ConditionResult) -> ConditionResult:
    """Ready of a pool whose workers are as they should be: what stands beside them."""
    refused = _refused_child(facts)
    if refused is not None:
        return ConditionResult("False", refused.reason, f"{workers.message}; {refused.message}")
    gateway = found.get(ConditionType.GATEWAY_PROGRAMMED)
    if gateway is not None and gateway.status != "True":
        return ConditionResult("False", Reason.GATEWAY_NOT_PROGRAMMED, f"{workers.message}; {gateway.message}")
    if workers.reason in {Reason.SUSPENDED, Reason.SCALED_TO_ZERO}:
        return ConditionResult("True", workers.reason, workers.message)
    return ConditionResult("True", Reason.ALL_WORKERS_READY, workers.message)


def _what_a_rollout_waits_for(found: Mapping[ConditionType, ConditionResult]) -> str:
    """How far it is, and beside it why the canary does not start."""
    message = found[ConditionType.ROLLOUT_PROGRESSING].message
    for kind, calm in (
        (ConditionType.WEIGHTS_CACHED, {Reason.PENDING, Reason.DOWNLOADING}),
        (ConditionType.WORKERS_READY, {Reason.PENDING, Reason.STARTING}),
    ):
        result = found.get(kind)
        if result is not None and result.status == "False" and result.reason not in calm:
            return f"{message}; {result.message}"
    return message


def write_conditions(
    found: Mapping[ConditionType, ConditionResult], before: Sequence[ConditionStatus], generation: int, now: float
) -> list[ConditionStatus]:
    """Return `status.conditions`. `lastTransitionTime` moves only when the status of a condition changes."""
    old = {item.type: item for item in before}
    written = []
    for kind in ConditionType:
        result = found.get(kind)
        if result is None:
            continue
        past = old.get(kind.value)
        since = past.last_transition_time if past is not None and past.status == result.status else ""
        written.append(
            ConditionStatus(
                type=kind.value,
                status=result.status,
                reason=result.reason.value,
                message=result.message[:1024],
                observed_generation=generation,
                last_transition_time=since or format_time(now),
            )
        )
    return written
