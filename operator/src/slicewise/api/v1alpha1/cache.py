"""`spec.cache`: where the weights are kept once they are downloaded."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slicewise.api.rules import Transition
from slicewise.api.v1alpha1.base import ApiModel, exactly_one
from slicewise.api.v1alpha1.scalars import Memory, ObjectName


class AccessMode(StrEnum):
    """How a claim may be mounted."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_MANY = "ReadWriteMany"


class EmptyDirCache(ApiModel):
    """A cache of each worker's own, gone with its pod."""

    size_limit: Memory | None = None
    """Most bytes it may hold, as a quantity. Default: no limit."""


class ClaimTemplate(ApiModel):
    """A claim that the operator makes, named after the pool."""

    storage_class_name: (
        Annotated[
            ObjectName,
            Transition(
                "self == oldSelf", "a claim cannot change its storage class: write the old one, or make a new pool"
            ),
        ]
        | None
    ) = None
    """Default: the cluster's default class. Cannot be changed."""
    access_modes: Annotated[
        tuple[AccessMode, ...],
        Field(min_length=1, max_length=2, json_schema_extra={"x-kubernetes-list-type": "atomic"}),
        Transition("self == oldSelf", "a claim cannot change its access modes: write the old ones, or make a new pool"),
    ] = (AccessMode.READ_WRITE_MANY,)
    """`ReadWriteMany` where workers are on several nodes. Cannot be changed."""
    size: Annotated[
        Memory,
        Transition(
            "quantity(string(self)).compareTo(quantity(string(oldSelf))) >= 0",
            "a claim cannot shrink: write the old size or more",
        ),
    ]
    """Size of the claim, as a quantity. It can grow."""


class ClaimCache(ApiModel):
    """A cache on a claim, shared by the pool's workers: exactly one of the forms."""

    claim_name: (
        Annotated[
            ObjectName,
            Transition(
                "self == oldSelf",
                "the claim cannot be changed while workers use it: write the old one, or make a new pool",
            ),
        ]
        | None
    ) = None
    """A claim that exists in the pool's namespace. Cannot be changed."""
    template: ClaimTemplate | None = None
    """A claim that the operator makes and that goes with the pool."""

    rules = (exactly_one(("claimName", "template"), ("claim_name", "template"), "template: {size: 20Gi}"),)


class CacheSpec(ApiModel):
    """Where the weights are kept: exactly one of the forms. A change starts no new revision."""

    empty_dir: EmptyDirCache | None = None
    persistent_volume_claim: ClaimCache | None = None

    rules = (
        exactly_one(
            ("emptyDir", "persistentVolumeClaim"),
            ("empty_dir", "persistent_volume_claim"),
            "cache: {emptyDir: {sizeLimit: 20Gi}}",
        ),
    )
