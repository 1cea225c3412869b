"""What keeps the volumes of a pool's claims from being there: a claim that is missing, or that gets none. Pure."""

from __future__ import annotations

import re
from typing import Final

from slicewise.api.v1alpha1 import Help, Reason
from slicewise.manifests.pod_volumes import cache_claim, source_mounts
from slicewise.pool.conditions.result import ConditionResult
from slicewise.pool.facts import Facts

_FOR_GOOD: Final = re.compile(
    r"storageclass\S* \S+ not found|access ?modes?|only supports?|not supported|unsupported|InvalidArgument|multi[-_ ]?writer"
    r"|no storage class is set",
    re.IGNORECASE,
)
"""Words of provisioners and of the volume controller about what does not change until a person changes the claim or its class."""


def find_pending_claim(facts: Facts) -> ConditionResult | None:
    """Return what the cluster says of a claim that gets no volume; None where it says nothing."""
    pending = facts.observed.references.pending
    if pending is None:
        return None
    is_cache = pending.name == cache_claim(facts.pool)
    fields = {mount.claim: mount.field for mount in source_mounts(facts.pool)}
    field = "spec.cache.persistentVolumeClaim" if is_cache else fields.get(pending.name, "spec.model.source")
    step = (
        f"Make its storage class provide what {field}.template asks for, or recreate the pool with another template: a claim cannot be "
        "changed"
        if is_cache and _has_template(facts)
        else "Check its storage class and access modes"
    )
    said = pending.message.rstrip(".")
    text = f"claim {pending.name!r} ({field}) has no volume: {pending.reason}: {said}. {step}"
    stays = pending.overdue or _FOR_GOOD.search(pending.message)
    return ConditionResult("False", Reason.CLAIM_PENDING, text, helps=Help.PERSON if stays else Help.EITHER)


def _has_template(facts: Facts) -> bool:
    claim = facts.pool.spec.cache.persistent_volume_claim
    return claim is not None and claim.template is not None
