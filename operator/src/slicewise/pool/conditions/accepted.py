"""Accepted: whether the spec is valid and acted on. Pure."""

from __future__ import annotations

from slicewise.api.v1alpha1 import Reason
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.facts import Facts


def find_accepted(facts: Facts) -> ConditionResult:
    """Accepted."""
    if facts.no_profile is not None and facts.no_profile.unsupported:
        return ConditionResult("False", Reason.NOT_SUPPORTED_YET, facts.no_profile.message)
    if facts.pool.remarks:
        text = ". ".join(f"kept from an earlier version: {remark}" for remark in facts.pool.remarks)
        return ConditionResult("True", Reason.ACCEPTED_IN_PART, text, advises=True)
    return ConditionResult("True", Reason.ACCEPTED, "the spec is valid")
