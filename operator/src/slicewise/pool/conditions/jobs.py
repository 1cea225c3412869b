"""JobsAvailable: whether jobs are accepted and run, by the word of the programs themselves. Pure.

No other condition depends on it but Stalled: a pool serves its requests whatever its jobs do.
"""

from __future__ import annotations

from typing import Final

from slicewise.api.v1alpha1 import ConditionType, JobsSpec, Reason
from slicewise.api.v1alpha1.conditions import CONDITIONS
from slicewise.manifests.metadata import jobs_name, names_of_jobs
from slicewise.pool.conditions.refusals import IMAGE_TROUBLE, image_helps, sort_refusal
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.shape_words import next_step
from slicewise.pool.facts import Facts
from slicewise.pool.observed_jobs import ObservedJobsPod

_DECLARED: Final = {reason.value: reason for reason in CONDITIONS[ConditionType.JOBS_AVAILABLE].reasons}
_OF_SECRET: Final = {Reason.ADDRESS_NOT_VALID, Reason.CREDENTIALS_REFUSED}


def find_jobs(facts: Facts) -> ConditionResult | None:
    """JobsAvailable; None where the spec has no jobs."""
    jobs = facts.pool.spec.jobs
    if jobs is None:
        return None
    return _refused(facts) or _standing(facts, jobs)


def _refused(facts: Facts) -> ConditionResult | None:
    """A child of jobs that the API server does not take, or pods that a policy or quota keeps out."""
    name = facts.pool.metadata.name
    for item in facts.observed.apply_failures:
        if item.name in names_of_jobs(name):
            quota = "exceeded quota" in item.message
            text = f"{item.kind} {item.name} was refused ({item.code}): {item.message}"
            return ConditionResult("False", Reason.QUOTA_EXCEEDED if quota else Reason.APPLY_FAILED, text)
    failure = facts.observed.jobs.failure
    if failure:
        text = f"pods of jobs are refused: {failure}{next_step(failure, 'chart value jobs', jobs_name(name))}"
        return sort_refusal(failure, text, jobs_name(name))
    return None


def _standing(facts: Facts, jobs: JobsSpec) -> ConditionResult:
    here = [pod for pod in facts.observed.jobs.pods if not pod.terminating]
    serving = [pod for pod in here if pod.ready and pod.standing is not None and pod.standing.available]
    accepts = sum(not pod.dispatches for pod in serving)
    runs = len(serving) - accepts
    count = f"{accepts} of {jobs.replicas} APIs and {runs} of {jobs.dispatchers} dispatchers serve"
    trouble = _trouble(facts, jobs, here)
    if accepts and runs:
        remark = f"; {trouble.message}" if trouble is not None else ""
        return ConditionResult("True", Reason.AVAILABLE, f"{count}{remark}", advises=trouble is not None)
    if trouble is not None:
        return trouble
    silent = next((pod for pod in here if pod.ready and pod.standing is None), None)
    if silent is not None:
        return ConditionResult("Unknown", Reason.UNKNOWN, f"{silent.name} has not said yet whether it can serve")
    return ConditionResult("False", Reason.STARTING, count)


def _trouble(facts: Facts, jobs: JobsSpec, pods: list[ObservedJobsPod]) -> ConditionResult | None:
    """What is wrong with the first pod with which something is: what it says itself tells most."""
    for pod in pods:
        if pod.standing is not None and not pod.standing.available:
            return _said(facts, jobs, pod.name, pod.standing.reason, pod.standing.message)
    for pod in pods:
        if pod.ready or pod.standing is not None:
            continue
        if pod.ended_reason in _DECLARED:
            return _said(facts, jobs, pod.name, pod.ended_reason, pod.ended_message)
        if pod.waiting_reason is not None:
            found = _waits(pod, pod.waiting_reason)
            if found is not None:
                return found
    return None


def _said(facts: Facts, jobs: JobsSpec, pod: str, word: str, message: str) -> ConditionResult:
    """What a program of jobs says is wrong, and what to do about it."""
    secret = f"Secret {jobs.database_secret_ref.name!r} (spec.jobs.databaseSecretRef)"
    reason = _DECLARED.get(word)
    if reason is None or reason is Reason.AVAILABLE:
        return ConditionResult("Unknown", Reason.UNKNOWN, f"{pod}: {word}: {message}")
    if reason is Reason.SECRET_MISSING:
        where = facts.pool.metadata.namespace
        text = f"{secret} does not exist in namespace {where}, or has no key 'url': create it; the pods take it up within five minutes"
        return ConditionResult("False", reason, text)
    step = f" Check the key 'url' of {secret}." if reason in _OF_SECRET else ""
    if reason is Reason.DURABILITY_OFF:
        step = " Or set spec.jobs.allowLoss: true, if that may happen."
    if reason is Reason.SCHEMA_OLDER:
        step = f" `kubectl rollout restart deployment {jobs_name(facts.pool.metadata.name)}` does that."
    return ConditionResult("False", reason, f"{pod}: {message}{step}")


def _waits(pod: ObservedJobsPod, waits_for: str) -> ConditionResult | None:
    text = f"{pod.name}: {pod.waiting_message or waits_for}"
    if waits_for in IMAGE_TROUBLE:
        hint = "check jobs.image of the chart and the pull secrets"
        helps = image_helps(waits_for, pod.waiting_message)
        return ConditionResult("False", Reason.IMAGE_NOT_PULLABLE, f"{text}. The image of jobs: {hint}", helps=helps)
    if waits_for == "CrashLoopBackOff":
        return ConditionResult("False", Reason.CRASH_LOOPING, text)
    if waits_for == "Unschedulable":
        return ConditionResult("False", Reason.UNSCHEDULABLE, f"no node takes {text}")
    return None
