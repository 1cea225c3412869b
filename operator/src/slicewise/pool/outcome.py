"""PoolPlan: what a pass is to do, as a value.

Made by `plan_pool`, executed by `controller/apply.py`. Holds no behaviour: the decision is complete when it exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from slicewise.pool.rollout.ending import Ending

Manifest = Mapping[str, Any]
"""A Kubernetes object as a plain dict, complete for server-side apply."""


@dataclass(frozen=True, slots=True)
class PodDeletion:
    """A worker pod to remove, guarded by its uid."""

    name: str
    uid: str
    reason: Literal["FailedLeftOver", "DeviceUnhealthy", "WeightsDamaged", "Replaced", "ScaledDown"]


@dataclass(frozen=True, slots=True)
class Event:
    """A Kubernetes Event about the pool."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Scaled:
    """The numbers of scaling by load."""

    desired: int
    """Workers."""
    wanted: int | None
    """Workers that the load alone asks for; None where it is not known."""
    requests: int | None
    """That run or wait; None where it is not known."""
    target: float
    """Requests for each worker."""
    hold: float
    """Seconds over which the pool keeps the most workers that the load asked for."""
    acts: bool
    """Whether the number is the pool's."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """The outcome of one decision.

    `children`: every object that must exist, in the order to apply. Owned objects of the watched kinds that are not in it
    are pruned. None: leave all children alone (the spec was not accepted).
    `status`: the whole `.status`, to be applied when it differs from the stored one.
    `requeue_after`: seconds until the next pass without an event; None: only events wake the pool.
    """

    children: tuple[Manifest, ...] | None
    status: Manifest
    deletions: tuple[PodDeletion, ...] = ()
    events: tuple[Event, ...] = ()
    ending: Ending | None = None
    """The end of a rollout, where this pass decides it."""
    requeue_after: float | None = None
    scaling: Scaled | None = None
    """What scaling by load says, for metrics; None where the spec has none, or no workers are desired."""
    fallback_switch: Literal["cpu", "slices"] | None = None
    """What serves from now on, where this pass decides that."""
    drains_blocked: Mapping[str, int] = field(default_factory=dict)
    """Zone → cordoned nodes that wait for this pool, for metrics."""
    gateway_version: str | None = None
    """Version of the configuration that the gateway's pods are to run; None: as before."""
