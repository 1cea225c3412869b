"""`spec.autoscaling`: how many workers there are, by load."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel
from slicewise.api.v1alpha1.scalars import AUTO, CountOrAuto, Hours, WholeNumber


class ScalingMode(StrEnum):
    """Whether the number of workers follows the load."""

    AUTO = "Auto"
    ADVISE = "Advise"


class AutoscalingSpec(ApiModel):
    """Number of workers by load: by the requests that run or wait, never by memory."""

    mode: ScalingMode = ScalingMode.AUTO
    """`Advise` shows in status, metrics and Events how many workers `Auto` would ask for, and `spec.replicas` holds."""
    min_replicas: Annotated[WholeNumber, Field(ge=0, le=1000)] = 1
    """Fewest workers. Floors hold where they are higher. With 0 the pool sleeps after `idleAfter`, and the next request wakes it."""
    max_replicas: Annotated[WholeNumber, Field(ge=1, le=1000)]
    """Most workers. No more are asked for than there are slices."""
    target_requests_per_worker: CountOrAuto = AUTO
    """Requests that run or wait for each worker. `Auto` is 0.7 of `spec.engine.parallelSequences`, and more while many run."""
    idle_after: Hours = "10m"
    """How long without a request before a pool with `minReplicas: 0` goes to 0, as a duration."""

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
