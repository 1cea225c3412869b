"""Stalled is True where only a person can help, and for no reason that time usually helps with: every reason of every condition."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from agreement import contradictions
from builders import make_pool, three_zones
from simulation import OTHER, Simulation, changed

from slicewise.api.v1alpha1 import CONDITIONS, HELP, ConditionType, Help, Reason
from slicewise.pool.conditions.refusals import image_helps, sort_refusal
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.conditions.summary import summarise
from slicewise.pool.facts import Facts
from slicewise.pool.plan import plan_pool
from slicewise.pool.rollout.state import RolloutState

NEEDED = (
    ConditionType.WEIGHTS_CACHED,
    ConditionType.WORKERS_READY,
    ConditionType.GATEWAY_PROGRAMMED,
    ConditionType.CAPACITY_AVAILABLE,
    ConditionType.ROLLOUT_PROGRESSING,
)
CASES = [(kind, reason) for kind in NEEDED for reason in CONDITIONS[kind].reasons]


def test_every_reason_says_what_helps() -> None:
    assert set(HELP) == set(Reason)


def test_stalled_declares_every_reason_that_needs_a_person() -> None:
    declared = set(CONDITIONS[ConditionType.STALLED].reasons)
    assert {reason for reason in Reason if HELP[reason] is Help.PERSON} <= declared


@pytest.mark.parametrize(("kind", "reason"), CASES, ids=lambda value: value.value)
def test_a_pool_is_stalled_exactly_where_a_person_is_needed(kind: ConditionType, reason: Reason) -> None:
    found = summarise(Facts(make_pool(), plan_nothing(), RolloutState()), beside(kind, reason))
    stalled, working = found[ConditionType.STALLED], found[ConditionType.RECONCILING]
    if HELP[reason] is Help.PERSON:
        assert (stalled.status, stalled.reason, stalled.message) == ("True", reason, "the words")
        assert working.status == "False"
    else:
        assert (stalled.status, working.status) == ("False", "True")
        asks = HELP[reason] is Help.EITHER
        assert (kind.value in stalled.message) == asks
        assert (stalled.message == "No manual action needed.") == (not asks)


def plan_nothing() -> Any:
    return Simulation(make_pool()).observed()


def beside(kind: ConditionType, reason: Reason) -> dict[ConditionType, ConditionResult]:
    """Results of a pool that is not ready, with one that has `reason`."""
    calm = {
        ConditionType.ACCEPTED: ConditionResult("True", Reason.ACCEPTED, ""),
        ConditionType.CAPACITY_AVAILABLE: ConditionResult("True", Reason.SLICES_FREE, ""),
        ConditionType.WEIGHTS_CACHED: ConditionResult("False", Reason.PENDING, ""),
        ConditionType.WORKERS_READY: ConditionResult("False", Reason.STARTING, ""),
        ConditionType.GATEWAY_PROGRAMMED: ConditionResult("True", Reason.PROGRAMMED, ""),
    }
    return {**calm, kind: ConditionResult("False", reason, "the words")}


def told(run: Simulation, **observed: Any) -> dict[str, Any]:
    plan = plan_pool(run.pool, replace(run.observed(), **observed), run.now)
    assert contradictions(plan.status, run.pods.values()) == []
    return {item["type"]: item for item in plan.status["conditions"]}


def test_a_rollout_without_a_slice_is_stalled_once_no_worker_is_on_its_way() -> None:
    run = Simulation(make_pool(replicas=3, zones={"minAvailable": 1}), nodes={n.name: n for n in three_zones(1)})
    run.settle()
    run.pool = changed(run.pool, model=OTHER)
    run.operate()
    run.operate()
    found = told(run)
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", "NoSliceToSpare")
    assert "lower spec.zones.minAvailable" in found["Stalled"]["message"]
    name = next(iter(run.pods))
    run.pods[name] = replace(run.pods[name], ready=False)
    found = told(run)
    assert found["RolloutProgressing"]["reason"] == "NoSliceToSpare"
    assert found["Stalled"]["status"] == "False"


def test_a_missing_secret_stalls_a_pool_that_starts_and_not_one_that_serves() -> None:
    run = Simulation(make_pool(replicas=3, model={**OTHER, "credentialsSecretRef": {"name": "hub"}}))
    words = 'MountVolume.SetUp failed for volume "credentials" : secret "hub" not found'
    lacking = {"ready": False, "waiting_reason": "FailedMount", "waiting_message": words}
    run.operate()
    while not run.pods:
        run.tick()
    starting = tuple(replace(pod, **lacking) for pod in run.observed().pods)
    found = told(run, pods=starting)
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", "SecretMissing")
    assert "Secret 'hub' (spec.model.credentialsSecretRef) does not exist" in found["Stalled"]["message"]
    run.settle()
    found = told(run)
    assert (found["Ready"]["status"], found["Stalled"]["status"]) == ("True", "False")


@pytest.mark.parametrize(
    ("reason", "words", "person"),
    [
        ("InvalidImageName", "couldn't parse image name", True),
        ("ErrImageNeverPull", "", True),
        ("ErrImagePull", 'rpc error: code = NotFound desc = failed to resolve "docker.io/a/b:c": not found', True),
        ("ImagePullBackOff", 'Back-off pulling image "a": ErrImagePull: pull access denied, 401 Unauthorized', True),
        ("ErrImagePull", "dial tcp: lookup images.invalid on 10.0.0.10:53: no such host", False),
        ("ErrImagePull", "toomanyrequests: You have reached your pull rate limit", False),
        ("ImagePullBackOff", 'Back-off pulling image "a"', False),
    ],
)
def test_an_image_needs_a_person_where_the_registry_will_never_have_it(reason: str, words: str, person: bool) -> None:
    assert (image_helps(reason, words) is Help.PERSON) is person


@pytest.mark.parametrize(
    ("words", "person"),
    [
        ('pods "chat" is forbidden: violates PodSecurity "restricted:latest"', True),
        (
            'pods "chat" is forbidden: error looking up service account default/other: serviceaccount "other" not found',
            True,
        ),
        ('error looking up service account default/chat-worker: serviceaccount "chat-worker" not found', False),
        ('Internal error occurred: failed calling webhook "policy.example.com": connection refused', False),
        ("exceeded quota: compute, requested: pods=1, used: pods=3, limited: pods=3", False),
    ],
)
def test_refused_pods_need_a_person_unless_what_refuses_them_is_not_there_yet(words: str, person: bool) -> None:
    assert (sort_refusal(words, words, "chat-worker").needs is Help.PERSON) is person
