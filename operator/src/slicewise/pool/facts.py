"""Facts: what a pass has found out, as one value from which the status is made. Made by `plan_pool`; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

from slicewise.api.v1alpha1 import InferencePool
from slicewise.manifests.desired_gateway import DesiredGateway
from slicewise.pool.demand import Demand
from slicewise.pool.disruption import BlockedDrain
from slicewise.pool.fallback import Fallback
from slicewise.pool.observed import ObservedPod, ObservedPool
from slicewise.pool.outcome import PodDeletion
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.slices import NoProfile
from slicewise.pool.workers import living
from slicewise.pool.zones import wanted_replicas

FAILED_MOUNT: Final = "FailedMount"
CANNOT_START: Final = (FAILED_MOUNT, "CreateContainerConfigError")
"""What a pod waits for whose Secret or ConfigMap is missing: the reason of the kubelet's Event, and of a container."""


@dataclass(frozen=True)
class Facts:
    """The outcome of a pass before it is put into words."""

    pool: InferencePool
    observed: ObservedPool
    state: RolloutState
    """The rollout's state after this pass."""
    demand: Demand | None = None
    """None where no profile can be named; `no_profile` then says why."""
    no_profile: NoProfile | None = None
    gateway: DesiredGateway | None = None
    """What the gateway is to be; None where `demand` is."""
    floors: Mapping[str, int] = field(default_factory=dict)
    """Zone → floor of its budget; zones that the pool is leaving included."""
    blocked_drains: tuple[BlockedDrain, ...] = ()
    blocked_zones: tuple[str, ...] = ()
    """Zones in which a replacement waits for a slice."""
    releasing_zones: tuple[str, ...] = ()
    """Zones in which a replacement waits for terminating workers to release their slices."""
    weight: int | None = None
    """Per cent of the requests that the canary is to get in `state`; None where there is no canary."""
    waits_for: str = ""
    """What a rollout that goes nowhere by itself waits for; empty where it goes on."""
    arrived: bool = True
    """Whether the gateway has the weights of the rollout, or has had the time to take them up."""
    deletions: tuple[PodDeletion, ...] = ()
    fallback: Fallback | None = None
    """None where the spec has none, and where `demand` is None."""

    @cached_property
    def workers(self) -> tuple[ObservedPod, ...]:
        """The pods that are workers, by name, without failed and completed ones."""
        return tuple(sorted(living(self.observed.pods), key=lambda pod: pod.name))

    @cached_property
    def desired(self) -> int:
        """Desired workers of the pool."""
        if self.demand is None:
            return 0
        if not self.demand.targets:
            scaling = self.demand.scaling
            return wanted_replicas(self.pool.spec, 1, None if scaling is None else scaling.desired)
        return sum(target.desired for target in self.demand.targets)

    @cached_property
    def serving(self) -> Counter[str]:
        """Zone → workers that take requests."""
        return Counter(pod.zone for pod in self.workers if pod.serving)

    @cached_property
    def ready(self) -> Mapping[str, int]:
        """Zone → of its desired workers, those that take requests. What serves beyond that, as while one revision replaces
        the other, is no part of it: "3 of 2 are ready" says nothing."""
        if self.demand is None:
            return self.serving
        return {target.zone: min(self.serving[target.zone], target.desired) for target in self.demand.targets}

    @cached_property
    def ready_count(self) -> int:
        """Of the desired workers, those that take requests."""
        return sum(self.ready.values())

    @cached_property
    def releasing(self) -> Mapping[str, int]:
        """Zone → terminating workers whose slices others wait for; zones without waiting workers are left out."""
        if self.demand is None:
            return {}
        slices = self.demand.stable_slices if self.state.canary is None else self.demand.slices
        unplaced = {pod.zone for pod in self.workers if pod.unplaced}
        waiting = {entry.zone for entry in slices if entry.short > 0} | set(self.releasing_zones) | unplaced
        going = self.demand.workers.releasing()
        return {zone: count for zone, count in sorted(going.items()) if zone in waiting}

    @cached_property
    def missing(self) -> Mapping[str, int]:
        """Zone → workers for which there is no slice; zones with none missing are left out."""
        if self.demand is None or self.observed.held_by_others is None:
            return {}
        slices = self.demand.stable_slices if self.state.canary is None else self.demand.slices
        room = {entry.zone: entry.room for entry in slices}
        lacking = {target.zone: target.desired - room.get(target.zone, 0) for target in self.demand.targets}
        return {zone: count for zone, count in lacking.items() if count > 0}

    @cached_property
    def blocked_by(self) -> tuple[str, ...]:
        """What may keep a zone in which a rollout waits from sparing a worker, in words, besides what keeps the pool's last."""
        here = [pod for pod in self.workers if pod.zone in self.blocked_zones]
        demand = self.demand
        if demand is None:
            return ("floor",)
        found = ["floor"]
        if any(pod.node in demand.cordoned for pod in here):
            found.append("a cordoned node")
        on_full = [pod for pod in here if pod.node in demand.overcommitted]
        if any(pod.suspect for pod in on_full):
            found.append("a device called unhealthy")
        elif on_full:
            found.append("a node that offers fewer slices than are held there")
        return tuple(found)

    @cached_property
    def zones_short(self) -> tuple[str, ...]:
        """Zones in which fewer workers serve than are to."""
        if self.demand is None:
            return ()
        return tuple(target.zone for target in self.demand.targets if self.serving[target.zone] < target.desired)
