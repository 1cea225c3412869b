"""Slices: which profile a pool asks for, how many there are in each zone, how many are free.

Counted from what the kubelets offer (allocatable) less what pods hold. Called by `plan_pool`; pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slicewise.api.quantity import Bytes
from slicewise.api.v1alpha1 import SliceSpec
from slicewise.api.v1alpha1.engine import EngineSpec
from slicewise.api.v1alpha1.scalars import AUTO
from slicewise.api.v1alpha1.status_needs import NeedsStatus
from slicewise.pool.needs import least_slice, no_slice_holds, too_small
from slicewise.pool.observed import ObservedNode, ObservedPod

UNBOUNDED: Final = 1_000_000
"""Stands for "as many as the scheduler places" where workers take no counted slice (`slice.cpu`)."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one worker takes."""

    resource: str | None
    """Extended resource, one a worker; None for CPU slices."""
    memory: Bytes | None = None
    """Memory of one slice in bytes: the smallest among the nodes that offer it; None where no label says."""
    needed: Bytes | None = None
    """Memory asked for (`slice.minMemory`, `slice.cpu.memory`); None where nothing was asked."""


@dataclass(frozen=True, slots=True)
class NoProfile:
    """No profile can be named. `message` says why and what to do."""

    message: str
    unsupported: bool = False
    """Whether this version cannot act on the form at all, as opposed to: no node offers it now."""
    too_small: bool = False
    """Whether it is known that the model fits no slice that is offered."""


@dataclass(frozen=True, slots=True)
class ZoneSlices:
    """Slices of one profile in one zone."""

    zone: str
    free: int
    """Free on nodes that take new workers, less what unbound workers of this pool are about to take."""
    own: int
    """Held by, or about to be taken by, workers of this pool, or free once its workers on unhealthy devices are gone."""
    offered: int
    """Offered by all nodes of the zone."""
    kept: int = 0
    """Further workers that serve on devices called unhealthy: each has its place until it goes, and leaves none to another."""
    short: int = 0
    """Unbound workers of this pool for which no slice is left; 0 where what others hold is unknown."""
    known: bool = True
    """Whether what others hold could be counted."""

    @property
    def room(self) -> int:
        """How many workers this pool can have here without removing any."""
        return self.free + self.own


@dataclass(frozen=True, slots=True)
class Choice:
    """What there is to know for a choice beside spec and nodes."""

    engine: EngineSpec
    needs: NeedsStatus | None = None
    """What workers have measured of the model; None before."""
    present: str | None = None
    """Resource that the serving revision takes."""


def choose_profile(wanted: SliceSpec, nodes: Iterable[ObservedNode], choice: Choice) -> Profile | NoProfile:
    """Return the profile that the spec asks for.

    `minMemory` takes the profile with the least memory that is enough, for the model, too, where that is known; of equal ones the first
    by name. `Auto` takes the serving revision's, or the smallest, until it is known.
    """
    nodes = tuple(nodes)
    if wanted.cpu is not None:
        return Profile(resource=None, needed=Bytes.from_quantity(wanted.cpu.memory))
    if wanted.resource is not None:
        memory = slice_memory(wanted.resource, nodes)
        if choice.needs is not None and memory is not None and too_small(choice.needs, memory):
            what = f"a slice of {wanted.resource} (spec.slice.resource)"
            return NoProfile(no_slice_holds(choice.needs, memory, what, choice.engine), too_small=True)
        return Profile(resource=wanted.resource, memory=memory)
    if wanted.min_memory is not None:
        asked = None if wanted.min_memory == AUTO else Bytes.from_quantity(wanted.min_memory)
        return _smallest_profile(asked, nodes, choice)
    return NoProfile(
        "spec.slice.deviceClass is not acted on by this version: write spec.slice.resource (for example nvidia.com/mig-1g.10gb) "
        "or spec.slice.minMemory with a quantity (for example 8Gi) or Auto",
        unsupported=True,
    )


def _smallest_profile(asked: Bytes | None, nodes: tuple[ObservedNode, ...], choice: Choice) -> Profile | NoProfile:
    sizes: dict[str, Bytes] = {}
    for node in nodes:
        for resource, memory in node.slice_memory.items():
            if resource in node.allocatable:
                sizes[resource] = min(memory, sizes.get(resource, memory))
    needs, least = choice.needs, max(asked or Bytes(1), least_slice(choice.needs) or Bytes(1))
    if asked is None and needs is None and choice.present in sizes:
        return Profile(resource=choice.present, memory=sizes[choice.present])
    enough = sorted((memory, resource) for resource, memory in sizes.items() if memory >= (asked or 1))
    # With room for a driver; else in the largest it may just fit, which a worker finds out.
    fitting = [found for found in enough if found[0] >= least] or [
        found for found in enough[-1:] if not too_small(needs, found[0])
    ]
    if fitting:
        memory, resource = fitting[0]
        return Profile(resource=resource, memory=memory, needed=asked if needs is None else least)
    if enough and needs is not None:
        memory, resource = enough[-1]
        what = f"the largest slice that nodes offer ({resource})"
        return NoProfile(no_slice_holds(needs, memory, what, choice.engine), too_small=True)
    seen = (
        ", ".join(f"{name} {size.to_quantity()}" for name, size in sorted(sizes.items())) or "none with a memory label"
    )
    what = "with a memory label" if asked is None else f"of {asked.to_quantity()} or more"
    mend = "Name spec.slice.resource" if asked is None else "Lower spec.slice.minMemory"
    return NoProfile(
        f"no node offers a slice {what} (spec.slice.minMemory); slices seen: {seen}. "
        f"{mend}, or add nodes whose slices are {'labelled' if asked is None else 'larger'}"
    )


def slice_memory(resource: str, nodes: Iterable[ObservedNode]) -> Bytes | None:
    """Return the memory of one slice of `resource` in bytes: the smallest any node states, or None."""
    return min((node.slice_memory[resource] for node in nodes if resource in node.slice_memory), default=None)


def zones_offering(profile: Profile, nodes: Iterable[ObservedNode], occupied: Collection[str] = ()) -> tuple[str, ...]:
    """Return the zones in which workers of this profile can be, sorted. `nodes`: as the placement sees them.

    A zone whose nodes all have a taint that workers do not tolerate does not count for them, unless some are there already
    (`occupied`: a taint for an hour must not move them) or there is no other, so that the condition can name the taint.

    A node whose device plugin is away offers 0 but keeps the resource's name, and its zone still counts: a restart of a
    kubelet must not move workers out of a zone.
    """
    if profile.resource is None:
        return tuple(sorted({node.zone for node in nodes if not node.tainted and not node.excluded}))
    offering = [node for node in nodes if profile.resource in node.allocatable and not node.excluded]
    open_to_workers = {node.zone for node in offering if not node.tainted}
    kept = {node.zone for node in offering if node.zone in occupied}
    return tuple(sorted(open_to_workers | kept or {node.zone for node in offering}))


def count_slices(
    profile: Profile,
    zones: Iterable[str],
    nodes: Iterable[ObservedNode],
    pods: Iterable[ObservedPod],
    held_by_others: Mapping[str, Mapping[str, int]] | None,
) -> tuple[ZoneSlices, ...]:
    """Return, zone by zone, how many slices are free and how many this pool has.

    Free is what the scheduler gives away: what a node offers less what its pods ask for, whatever the health of their devices.
    The kubelet takes an unhealthy device out of what it offers, so the worker on it takes the place of another until it is gone.
    A terminating worker holds its slice until it is gone. A worker on a node that is not ready has no room there, so its share
    may go to another zone. With `held_by_others` unknown nothing counts as free.
    """
    pods = tuple(pods)
    nodes = tuple(nodes)
    return tuple(_count_zone(profile, zone, nodes, pods, held_by_others) for zone in zones)


def overcommitted(
    profile: Profile,
    nodes: Iterable[ObservedNode],
    pods: Iterable[ObservedPod],
    held_by_others: Mapping[str, Mapping[str, int]] | None,
) -> frozenset[str]:
    """Return the names of the nodes that offer fewer slices than are held there: a worker that goes leaves none to another.

    So it is where devices are called unhealthy while their workers serve, and while a device plugin is away. What goes anyway is not
    counted: terminating workers, and those that do not serve on such a device.
    """
    if profile.resource is None:
        return frozenset()
    held = Counter(
        pod.node
        for pod in pods
        if pod.holds_slice and not pod.terminating and pod.resource == profile.resource
        if pod.serving or not pod.device_unhealthy
    )
    others = held_by_others or {}
    return frozenset(
        node.name
        for node in nodes
        if held[node.name]
        and held[node.name] + others.get(node.name, {}).get(profile.resource, 0)
        > node.allocatable.get(profile.resource, 0)
    )


def _count_zone(
    profile: Profile,
    zone: str,
    nodes: tuple[ObservedNode, ...],
    pods: tuple[ObservedPod, ...],
    held_by_others: Mapping[str, Mapping[str, int]] | None,
) -> ZoneSlices:
    mine = [
        pod for pod in pods if pod.zone == zone and pod.phase in {"Pending", "Running"} and not pod.device_unhealthy
    ]
    # By node, not by the pod's zone: a node may have come to another zone while workers were on it.
    holding = [pod for pod in pods if pod.holds_slice and pod.resource == profile.resource]
    holders = Counter(pod.node for pod in holding)
    unhealthy = Counter(pod.node for pod in holding if pod.device_unhealthy)
    suspects = Counter(pod.node for pod in holding if pod.suspect and pod.zone == zone)
    unbound = sum(1 for pod in mine if pod.node is None)
    if profile.resource is None:
        return ZoneSlices(zone, free=UNBOUNDED, own=len(mine), offered=UNBOUNDED)
    free = offered = returning = 0
    kept = suspects.total()
    for node in nodes:
        if node.zone != zone or profile.resource not in node.allocatable or node.excluded:
            continue
        offers = node.allocatable[profile.resource]
        offered += offers
        if not node.usable or held_by_others is None:
            continue
        others = held_by_others.get(node.name, {}).get(profile.resource, 0)
        left = offers - others - holders[node.name]
        free += max(0, left)
        comes_back = max(0, left + unhealthy[node.name]) - max(0, left)
        returning += comes_back
        kept -= min(comes_back, suspects[node.name])
    alive = {node.name for node in nodes if node.ready}
    taken = min(unbound, free)
    own = sum(1 for pod in mine if pod.node in alive) + taken + returning
    known = held_by_others is not None
    short = unbound - taken if known else 0
    return ZoneSlices(zone, free=free - taken, own=own, offered=offered, kept=kept, short=short, known=known)
