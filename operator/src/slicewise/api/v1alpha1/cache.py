"""`spec.cache`: where the weights are kept once they are downloaded."""

from __future__ import annotations

from enum import StrEnum

from slicewise.api.v1alpha1.base import ApiModel


class AccessMode(StrEnum):
    """How a claim may be mounted."""

    READ_WRITE_ONCE = "ReadWriteOnce"
    READ_WRITE_MANY = "ReadWriteMany"


class EmptyDirCache(ApiModel):
    """A cache of each worker's own, gone with its pod."""

    size_limit: str | None = None
    """Most bytes it may hold, as a quantity. Default: no limit."""


class ClaimTemplate(ApiModel):
    """A claim that the operator makes, named after the pool."""

    storage_class_name: str | None = None
    """Default: the cluster's default class."""
    access_modes: tuple[AccessMode, ...] = (AccessMode.READ_WRITE_MANY,)
    size: str
    """Size of the claim, as a quantity. It may grow; a claim cannot shrink."""


class ClaimCache(ApiModel):
    """A cache on a claim, shared by the pool's workers: exactly one of the forms."""

    claim_name: str | None = None
    """A claim that exists in the pool's namespace. Cannot be changed."""
    template: ClaimTemplate | None = None
    """A claim that the operator makes and that goes with the pool."""


class CacheSpec(ApiModel):
    """Where the weights are kept: exactly one of the forms. A change starts no new revision."""

    empty_dir: EmptyDirCache | None = None
    persistent_volume_claim: ClaimCache | None = None
