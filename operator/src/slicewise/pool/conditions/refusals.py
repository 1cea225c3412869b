"""What keeps a pod from being made or started by the words of others: the API server, admission, the kubelet. Pure.

Their words also tell whether time helps: a registry that does not answer is tried again, an image that it does not have is not there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from slicewise.api.v1alpha1 import Help, Reason
from slicewise.manifests.metadata import names_of_jobs, worker_account_name
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.shape_words import next_step
from slicewise.pool.facts import Facts
from slicewise.pool.observed import ObservedPod

IMAGE_TROUBLE: Final = {
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
}
_NEVER_PULLED: Final = {"InvalidImageName", "ErrImageNeverPull"}
_NO_SUCH_IMAGE: Final = re.compile(
    r"code = NotFound|: not found|manifest unknown|does not exist|unauthorized|denied|403 Forbidden|no match for platform"
    r"|invalid reference format",
    re.IGNORECASE,
)
_PASSING: Final = re.compile(r"failed calling webhook|Internal error occurred|timeout|too many requests", re.IGNORECASE)


def image_helps(reason: str, message: str) -> Help:
    """Return what helps with an image that is not pulled: a person where the registry or the kubelet says that it never will be."""
    return Help.PERSON if reason in _NEVER_PULLED or _NO_SUCH_IMAGE.search(message) else Help.EITHER


def find_unpulled(pods: Iterable[ObservedPod]) -> tuple[str, Help] | None:
    """Return what is said of the first of `pods` whose image is not pulled, and what helps; None where all are."""
    for pod in pods:
        if pod.waiting_reason in IMAGE_TROUBLE:
            words = f"{pod.name}: {pod.waiting_message or pod.waiting_reason}"
            helps = image_helps(pod.waiting_reason, pod.waiting_message)
            return f"{words}. Check spec.engine.image and the pull secrets", helps
    return None


def sort_refusal(words: str, text: str, account: str) -> ConditionResult:
    """Return the result `text` about pods that are refused with `words`. `account`: the ServiceAccount that comes by itself."""
    if "exceeded quota" in words:
        return ConditionResult("False", Reason.QUOTA_EXCEEDED, text)
    passes = _PASSING.search(words) or f'serviceaccount "{account}" not found' in words
    return ConditionResult("False", Reason.PODS_FORBIDDEN, text, helps=Help.EITHER if passes else Help.PERSON)


def find_refusal(facts: Facts) -> ConditionResult | None:
    """Return what the API server refused, in its own words, sorted into a reason; None if it took everything but children of jobs,
    of which JobsAvailable tells."""
    if facts.observed.references.namespace_terminating:
        return ConditionResult(
            "False", Reason.NAMESPACE_TERMINATING, f"namespace {facts.pool.metadata.namespace} is being deleted"
        )
    of_jobs = names_of_jobs(facts.pool.metadata.name)
    for item in facts.observed.apply_failures:
        if item.name in of_jobs:
            continue
        quota = "exceeded quota" in item.message
        return ConditionResult(
            "False",
            Reason.QUOTA_EXCEEDED if quota else Reason.APPLY_FAILED,
            f"{item.kind} {item.name} was refused ({item.code}): {item.message}",
        )
    for deployment in facts.observed.deployments:
        if deployment.failure:
            account = worker_account_name(facts.pool.metadata.name)
            step = next_step(deployment.failure, "spec.worker", account)
            text = f"pods of {deployment.name} are refused: {deployment.failure}{step}"
            return sort_refusal(deployment.failure, text, account)
    return None
