"""FallbackActive, and what other conditions say while the CPU fallback serves. Called by `summary.py` and `plan_pool`; pure."""

from __future__ import annotations

from slicewise.api.labels import LABEL_POOL, LABEL_ROLE, ROLE_FALLBACK
from slicewise.api.v1alpha1 import Help, Reason
from slicewise.manifests.metadata import fallback_name
from slicewise.pool.conditions.ends import refused_by_worker
from slicewise.pool.conditions.refusals import find_unpulled
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.facts import CANNOT_START, Facts
from slicewise.pool.fallback import BACK_SECONDS, GONE_SECONDS, Fallback
from slicewise.pool.outcome import Event
from slicewise.pool.workers import keeps_ending, told_end


def find_fallback(facts: Facts) -> ConditionResult | None:
    """FallbackActive; None where the spec has no fallback."""
    fallback = facts.fallback
    if fallback is None:
        return None
    if not fallback.wanted:
        return ConditionResult("False", Reason.NOT_NEEDED, "the pool has no workers on purpose, and so no fallback")
    if fallback.state.active:
        return _active(facts, fallback)
    if fallback.serves:
        return ConditionResult("False", Reason.NOT_NEEDED, f"slices serve{_ready_beside(facts, fallback)}")
    waits = f"no slice serves; workers on CPU are started once that has lasted {GONE_SECONDS:.0f} s"
    warm = f"no slice serves, and {_count(facts, fallback)} answers meanwhile"
    return ConditionResult("False", Reason.PENDING, warm if fallback_serves(facts) else waits)


def _active(facts: Facts, fallback: Fallback) -> ConditionResult:
    if fallback.serves:
        text = f"slices serve again; the CPU fallback ends once they have done so for {BACK_SECONDS:.0f} s"
        return ConditionResult("True", Reason.RETURNING, text)
    if fallback_serves(facts):
        return ConditionResult(
            "True", Reason.SERVING, f"no slice serves; {_count(facts, fallback)} answers, more slowly"
        )
    refused = refused_fallback(facts)
    if refused:
        return ConditionResult("True", Reason.STARTING, f"no slice serves, and {refused}", helps=Help.EITHER)
    failing = failing_fallback(facts)
    if failing is not None:
        words, helps = failing
        return ConditionResult("True", Reason.STARTING, f"no slice serves, and the CPU fallback: {words}", helps=helps)
    pods = f"{LABEL_POOL}={facts.pool.metadata.name},{LABEL_ROLE}={ROLE_FALLBACK}"
    text = f"no slice serves, and the CPU fallback starts: `kubectl get pods -l {pods}` shows its workers"
    return ConditionResult("True", Reason.STARTING, text)


def fallback_serves(facts: Facts) -> bool:
    """Whether a worker of the fallback answers, because none on a slice does."""
    fallback, here = facts.fallback, facts.observed.fallback
    return fallback is not None and fallback.wanted and not fallback.serves and here is not None and here.ready > 0


def refused_fallback(facts: Facts) -> str:
    """What keeps the fallback's workers from being made, in words; empty where nothing does."""
    name = fallback_name(facts.pool.metadata.name)
    for item in facts.observed.apply_failures:
        if item.name == name:
            return f"{item.kind} {item.name} was refused ({item.code}): {item.message}"
    here = facts.observed.fallback
    return f"pods of the CPU fallback are refused: {here.failure}" if here is not None and here.failure else ""


def failing_fallback(facts: Facts) -> tuple[str, Help] | None:
    """Why a worker of the fallback does not start, in words, and what helps; None where none is known to be in trouble."""
    pods = [pod for pod in facts.observed.fallback_pods if not (pod.ready or pod.terminating)]
    refusing = refused_by_worker(pods)
    if refusing is not None:
        return refusing[1], Help.PERSON
    unpulled = find_unpulled(pods)
    if unpulled is not None:
        return unpulled
    for pod in pods:
        if pod.fetch is not None and pod.fetch.reason and not pod.fetch.done:
            return f"{pod.name} ({pod.fetch.reason}): {pod.fetch.message}", Help.EITHER
        if pod.unplaced:
            return f"{pod.refusal} (spec.fallback.cpu: cores, memory, nodeSelector, tolerations)", Help.EITHER
        if pod.waiting_reason in CANNOT_START:
            return f"{pod.name}: {pod.waiting_message or pod.waiting_reason}", Help.EITHER
        if keeps_ending(pod):
            return told_end(pod), Help.EITHER
    return None


def _count(facts: Facts, fallback: Fallback) -> str:
    ready = min(facts.observed.fallback.ready if facts.observed.fallback else 0, fallback.spec.replicas)
    return f"the CPU fallback ({ready} of {fallback.spec.replicas} on CPU)"


def _ready_beside(facts: Facts, fallback: Fallback) -> str:
    if not fallback.spec.warm:
        return ""
    failing = failing_fallback(facts)
    return f"; {_count(facts, fallback)} is kept warm" + (f"; {failing[0]}" if failing is not None else "")


def fallback_events(facts: Facts) -> tuple[Event, ...]:
    """Return the Event of a switch."""
    fallback = facts.fallback
    if fallback is None or fallback.switched_to is None:
        return ()
    if fallback.switched_to == "cpu":
        text = f"no slice has served for {GONE_SECONDS:.0f} s: the CPU fallback is asked for"
        return (Event("Warning", "FallbackStarted", text),)
    return (Event("Normal", "FallbackEnded", "the CPU fallback is no longer needed"),)
