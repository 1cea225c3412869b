"""`spec.zones`: where the workers are."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.labels import ZONE_KEY
from slicewise.api.v1alpha1.base import ApiModel, once
from slicewise.api.v1alpha1.scalars import LabelKey, WholeNumber, ZoneName

_SET = {"x-kubernetes-list-type": "set"}


class ZonesSpec(ApiModel):
    """Where the workers are and how many each zone keeps."""

    topology_key: LabelKey = ZONE_KEY
    """Node label whose value is the zone. It cannot change while the pool has workers: suspend the pool first."""
    names: (
        Annotated[
            tuple[ZoneName, ...],
            Field(min_length=1, max_length=32, json_schema_extra=_SET),
            once(),
        ]
        | None
    ) = None
    """Zones to use. Default: the zones of the nodes that offer the slice."""
    min_available: Annotated[WholeNumber, Field(ge=0, le=1000)] | None = None
    """The floor: ready workers that each zone keeps through drains, rollouts and scaling. Set, it binds in each zone,
    and the pool has at least this many times the number of zones unless it is scaled to 0. Default: one worker in each zone
    that has any."""
