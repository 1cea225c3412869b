"""GatewayProgrammed: whether the gateway's pods run what the pool asks for, by their agents' own word. Pure.

While a rollout moves, weights change with every worker. A pod that has taken in some configuration of this pool counts then, so
that the condition tells of trouble and not of every step; at rest, once the gateway has had the time to take up the rollout's last
shares, each pod must run the very version that is wanted.
"""

from __future__ import annotations

from typing import Final

from slicewise.api.v1alpha1 import Reason
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.manifests.metadata import gateway_binding_name, gateway_name
from slicewise.pool.conditions.refusals import IMAGE_TROUBLE, image_helps, sort_refusal
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.shape_words import next_step
from slicewise.pool.facts import Facts
from slicewise.pool.observed import ApplyFailure, ObservedGatewayPod
from slicewise.pool.rollout.state import Phase

_NAMED: Final = 5
_REST = {Phase.IDLE, Phase.ROLLED_BACK}


def find_gateway(facts: Facts) -> ConditionResult | None:
    """GatewayProgrammed; None where the pool asks for nothing that can be carried out."""
    desired = facts.gateway
    if desired is None:
        return None
    refused = _refused(facts)
    if refused is not None:
        return refused
    here = [pod for pod in facts.observed.gateway_pods if not pod.terminating]
    trouble = _trouble(here)
    if trouble is not None:
        return trouble
    ready = [pod for pod in here if pod.ready]
    count = f"{len(ready)} of {desired.model.replicas} gateway pods are ready"
    if len(ready) < desired.model.replicas:
        return ConditionResult("False", Reason.STARTING, count)
    old = [pod.name for pod in ready if pod.started_with != desired.start_version]
    if old:
        return ConditionResult(
            "False", Reason.STARTING, f"{count}; {old[0]} is being replaced by one with new settings"
        )
    unheard = _not_programmed(ready, desired, at_rest=facts.state.phase in _REST and facts.arrived)
    if unheard is not None:
        return unheard
    remarks = _unusable_keys(ready, desired) + _without_redis(facts, ready, desired)
    programmed = f"{count} and run the pool's configuration{remarks}"
    return _without_keys(facts, ready, desired) or ConditionResult(
        "True", Reason.PROGRAMMED, programmed, advises=bool(remarks)
    )


def _refused(facts: Facts) -> ConditionResult | None:
    """A child of the gateway that the API server does not take, or pods that a policy or quota keeps out."""
    failure = facts.observed.gateway_failure
    mine = gateway_failures(facts)
    if mine:
        first = mine[0]
        text = f"{first.kind} {first.name} was refused ({first.code}): {first.message}"
        quota = "exceeded quota" in first.message
        return ConditionResult("False", Reason.QUOTA_EXCEEDED if quota else Reason.APPLY_FAILED, text)
    if failure:
        step = next_step(failure, "spec.gateway", gateway_name(facts.pool.metadata.name))
        return sort_refusal(
            failure, f"gateway pods are refused: {failure}{step}", gateway_name(facts.pool.metadata.name)
        )
    return None


def gateway_failures(facts: Facts) -> list[ApplyFailure]:
    """Return what the API server refused of the gateway's own children."""
    name = facts.pool.metadata.name
    own = {gateway_name(name), gateway_binding_name(name, facts.observed.installation.gateway.role)}
    return [item for item in facts.observed.apply_failures if item.name in own]


def _trouble(pods: list[ObservedGatewayPod]) -> ConditionResult | None:
    for pod in pods:
        if pod.ready or pod.waiting_reason is None:
            continue
        text = f"{pod.name}: {pod.waiting_message or pod.waiting_reason}"
        if pod.waiting_reason in IMAGE_TROUBLE:
            hint = "check gateway.image of the chart and the pull secrets"
            helps = image_helps(pod.waiting_reason, pod.waiting_message)
            return ConditionResult(
                "False", Reason.IMAGE_NOT_PULLABLE, f"{text}. The gateway's image: {hint}", helps=helps
            )
        if pod.waiting_reason == "CrashLoopBackOff":
            return ConditionResult("False", Reason.CRASH_LOOPING, text)
        if pod.waiting_reason == "Unschedulable":
            return ConditionResult("False", Reason.UNSCHEDULABLE, f"no node takes gateway pod {text}")
    return None


def _not_programmed(
    pods: list[ObservedGatewayPod], desired: DesiredGateway, *, at_rest: bool
) -> ConditionResult | None:
    for pod in pods:
        if pod.info is not None and pod.info.reason in {"Refused", "NotWritten"}:
            return ConditionResult("False", Reason.CONFIGURATION_REFUSED, f"{pod.name}: {pod.info.message}")
    for pod in pods:
        running = None if pod.info is None else pod.info.running
        if running == desired.config.version or (running is not None and not at_rest):
            continue
        if pod.info is None:
            return ConditionResult(
                "Unknown", Reason.UNKNOWN, f"{pod.name} has not said yet which configuration its Envoy runs"
            )
        return ConditionResult(
            "False", Reason.NOT_PROGRAMMED, f"{pod.name} has not taken in the newest configuration yet"
        )
    return None


def _without_keys(facts: Facts, pods: list[ObservedGatewayPod], desired: DesiredGateway) -> ConditionResult | None:
    """A gateway that was given no key at all. Its agents say so; the operator does not read Secrets."""
    keys = desired.model.tenant_keys
    empty = [pod for pod in pods if pod.info is not None and pod.info.without_keys]
    if keys is None or not empty:
        return None
    if any(pod.info is not None and (pod.info.tenants or pod.info.complaints) for pod in pods):
        # The Secret is there; the kubelets bring it one after another.
        text = f"{empty[0].name} does not have the keys of Secret {keys.secret!r} (spec.gateway.tenantKeysSecretRef) yet, others do"
        return ConditionResult("False", Reason.NOT_PROGRAMMED, text)
    message = (
        f"Secret {keys.secret!r} (spec.gateway.tenantKeysSecretRef) does not exist in namespace {facts.pool.metadata.namespace}, or is "
        "empty, so every request is answered with 401: create it, with one entry a tenant; the gateway takes it up within two minutes"
    )
    return ConditionResult("False", Reason.SECRET_MISSING, message)


def _unusable_keys(pods: list[ObservedGatewayPod], desired: DesiredGateway) -> str:
    """What is wrong with some tenants' keys: the gateway serves the others all the same. Names tenants, never a key."""
    found = sorted({text for pod in pods if pod.info is not None for text in pod.info.complaints})
    if desired.model.tenant_keys is None or not found:
        return ""
    named = "; ".join(found[:_NAMED]) + (f"; and {len(found) - _NAMED} more" if len(found) > _NAMED else "")
    return (
        f"; some entries of Secret {desired.model.tenant_keys.secret!r} (spec.gateway.tenantKeysSecretRef) are ignored: {named}. Give "
        "each tenant keys of its own, of 8 characters or more, one per line"
    )


def _without_redis(facts: Facts, pods: list[ObservedGatewayPod], desired: DesiredGateway) -> str:
    """A cache without its Redis costs hits, no request: the gateway is programmed all the same."""
    secret = desired.redis_secret
    said = {pod.info.redis for pod in pods if pod.info is not None}
    if secret is None or False not in said or True in said:
        return ""
    return (
        f"; no answer is cached (spec.gateway.responseCache), because Secret {secret!r} in namespace {facts.pool.metadata.namespace} does "
        "not exist or has no address of a Redis under the key url: create it; the gateway takes it up within two minutes"
    )
