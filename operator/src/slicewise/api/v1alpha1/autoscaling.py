"""`spec.autoscaling`: how many workers there are, by load."""

from __future__ import annotations

from slicewise.api.v1alpha1.base import ApiModel


class AutoscalingSpec(ApiModel):
    """Number of workers by load. Not acted on by this version."""

    min_replicas: int = 1
    """Fewest workers; 0 lets the pool sleep."""
    max_replicas: int
    """Most workers."""
    target_requests_per_worker: int = 4
    """Requests in flight per worker that the pool aims at."""
    idle_after: str = "10m"
    """How long without a request before the pool goes to `minReplicas`, as a duration."""
