"""What a pool says of a claim that gets no volume: the cluster's own words, and whether time may help."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import DIGEST, make_pool
from simulation import Simulation

from slicewise.api.v1alpha1 import ConditionType
from slicewise.pool.observed import PendingClaim, References
from slicewise.pool.plan import plan_pool

TEMPLATE = {"persistentVolumeClaim": {"template": {"accessModes": ["ReadWriteMany"], "size": "20Gi"}}}
ONLY_ONCE = 'failed to provision volume with StorageClass "local": NodePath only supports ReadWriteOnce access modes'


def told(pending: PendingClaim | None, **spec: Any) -> dict[str, dict[str, Any]]:
    run = Simulation(make_pool(replicas=3, **spec))
    run.operate()
    observed = replace(run.observed(), references=References(pending=pending))
    plan = plan_pool(run.pool, observed, run.now)
    return {item["type"]: item for item in plan.status["conditions"]}


def test_the_provisioners_words_are_in_the_condition_and_a_person_is_asked_for() -> None:
    found = told(PendingClaim("chat-weights", "ProvisioningFailed", ONLY_ONCE), cache=TEMPLATE)
    weights = found[ConditionType.WEIGHTS_CACHED]
    assert (weights["status"], weights["reason"]) == ("False", "ClaimPending")
    assert (
        f"claim 'chat-weights' (spec.cache.persistentVolumeClaim) has no volume: ProvisioningFailed: {ONLY_ONCE}. "
        in (weights["message"])
    )
    assert "recreate the pool with another template" in weights["message"]
    assert (found["Stalled"]["status"], found["Stalled"]["reason"]) == ("True", "ClaimPending")
    assert found["Stalled"]["message"] == weights["message"]
    assert found["WorkersReady"]["reason"] == "ClaimPending", "not Starting, which asks for time"


@pytest.mark.parametrize(
    ("reason", "words", "overdue", "person"),
    [
        ("ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', False, True),
        ("ProvisioningFailed", "rpc error: code = InvalidArgument desc = MULTI_NODE_MULTI_WRITER", False, True),
        ("FailedBinding", "no persistent volumes available for this claim and no storage class is set", False, True),
        ("ProvisioningFailed", "rpc error: code = ResourceExhausted desc = quota", False, False),
        ("ProvisioningFailed", "rpc error: code = Unavailable desc = connection refused", False, False),
        ("ExternalProvisioning", "Waiting for a volume to be created by 'nobody.example'", False, False),
        ("ExternalProvisioning", "Waiting for a volume to be created by 'nobody.example'", True, True),
    ],
)
def test_a_pool_is_stalled_where_waiting_gives_its_claim_no_volume(
    reason: str, words: str, overdue: bool, person: bool
) -> None:
    cache = {"persistentVolumeClaim": {"claimName": "mine"}}
    found = told(PendingClaim("mine", reason, words, overdue), cache=cache)
    assert found["WeightsCached"]["reason"] == "ClaimPending"
    assert words in found["WeightsCached"]["message"]
    assert (found["Stalled"]["status"] == "True") is person
    if not person:
        assert "WeightsCached" in found["Stalled"]["message"]


def test_a_claim_of_which_nothing_is_said_holds_nothing_up() -> None:
    assert told(None, cache=TEMPLATE)["WeightsCached"]["reason"] == "Pending"


def test_the_claim_of_a_source_is_named_by_its_field() -> None:
    model = {"source": "pvc://models/small.gguf", "digest": DIGEST}
    found = told(PendingClaim("models", "ProvisioningFailed", "out of disks"), model=model)
    assert (
        "claim 'models' (spec.model.source) has no volume: ProvisioningFailed: out of disks"
        in (found["WeightsCached"]["message"])
    )
