"""`spec.autoscaling`: how many workers there are, by load."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import Hours, WholeNumber


class AutoscalingSpec(ApiModel):
    """Number of workers by load. Not acted on by this version."""

    min_replicas: Annotated[WholeNumber, Field(ge=0, le=1000)] = 1
    """Fewest workers; 0 lets the pool sleep."""
    max_replicas: Annotated[WholeNumber, Field(ge=1, le=1000)]
    """Most workers."""
    target_requests_per_worker: Annotated[WholeNumber, Field(ge=1, le=1000)] = 4
    """Requests in flight per worker that the pool aims at."""
    idle_after: Hours = "10m"
    """How long without a request before the pool goes to `minReplicas`, as a duration."""

    rules = (
        Rule(
            cel="self.maxReplicas >= self.minReplicas",
            holds=lambda scaling: scaling.max_replicas >= scaling.min_replicas,
            message="maxReplicas {most} is less than minReplicas {least}: write {least} or more",
            expects="maxReplicas of minReplicas or more",
            values={
                "most": ("self.maxReplicas", lambda scaling: scaling.max_replicas),
                "least": ("self.minReplicas", lambda scaling: scaling.min_replicas),
            },
            field="maxReplicas",
        ),
    )
