"""Demand: what the spec asks for, held against the slices there are. Made once a pass by `plan_pool`; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.status_needs import NeedsStatus
from slicewise.manifests.shape import merge, placed
from slicewise.pool.needs import learn_needs, named
from slicewise.pool.observed import ObservedNode, ObservedPool, ObservedRevision
from slicewise.pool.placement import Placement, placed_nodes, read_placement
from slicewise.pool.revision import find_revision, revision_inputs
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.scaling import Scaling, find_scaling
from slicewise.pool.slices import (
    Choice,
    NoProfile,
    Profile,
    ZoneSlices,
    choose_profile,
    count_slices,
    overcommitted,
    slice_memory,
    zones_offering,
)
from slicewise.pool.workers import Workers, living
from slicewise.pool.zones import ZoneTarget, spread


@dataclass(frozen=True, slots=True)
class Demand:
    """What the spec asks for, and the means for it."""

    inputs: Mapping[str, Any]
    wanted: str
    """Hash of the revision that the spec asks for."""
    profile: Profile
    """Profile of the wanted revision."""
    stable_profile: Profile
    zones: tuple[str, ...]
    slices: tuple[ZoneSlices, ...]
    """Slices of the wanted revision's profile, by zone."""
    stable_slices: tuple[ZoneSlices, ...]
    targets: tuple[ZoneTarget, ...]
    workers: Workers
    placement: Placement
    """Where workers of the wanted revision may be."""
    nodes: tuple[ObservedNode, ...]
    """The nodes as that placement sees them."""
    stable_nodes: tuple[ObservedNode, ...]
    """The nodes as the placement of the stable revision sees them."""
    overcommitted: frozenset[str] = frozenset()
    """Names of the nodes that offer fewer slices than are held there, such as where workers serve on devices called unhealthy."""

    scaling: Scaling | None = None
    """What scaling by load says; None where the spec has none."""

    @property
    def asleep(self) -> bool:
        """Whether no worker is desired because no request came, and the next request wakes the pool."""
        return self.scaling is not None and self.scaling.asleep

    @property
    def cordoned(self) -> frozenset[str]:
        """Names of the cordoned nodes."""
        return frozenset(node.name for node in self.nodes if node.cordoned)

    @property
    def no_place(self) -> frozenset[str]:
        """Names of the nodes on which a worker that goes leaves no slice that another can take."""
        return self.cordoned | self.overcommitted

    @property
    def exchangeable(self) -> bool:
        """Whether a slice that a stable worker leaves fits the wanted revision, on a node that this one may use."""
        return self.profile.resource == self.stable_profile.resource


def read_demand(pool: InferencePool, observed: ObservedPool, state: RolloutState) -> Demand | NoProfile:
    """Return the demand of `pool`, or why no profile can be named for the revision it asks for."""
    inputs, needs = revision_inputs(pool.spec), pool_needs(pool, observed)
    wanted = named(inputs, pool.spec.slice, needs)
    kept_wanted = find_revision(observed.revisions, wanted)
    stable = find_revision(observed.revisions, state.stable)
    choice = Choice(pool.spec.engine, needs, None if stable is None else stable.data.get("resource"))
    profile = _profile_of(kept_wanted, pool, observed, choice)
    if isinstance(profile, NoProfile):
        return profile
    placement = _placement_of(kept_wanted, pool, observed)
    stable_profile, stable_placement = profile, placement
    if stable is not None:
        kept = _profile_of(stable, pool, observed, choice)
        stable_profile = profile if isinstance(kept, NoProfile) else kept
        stable_placement = _placement_of(stable, pool, observed)
    alive = frozenset(node.name for node in observed.nodes if node.ready)
    workers = Workers(living(observed.pods), observed.deployments, alive)
    nodes = placed_nodes(placement, observed.nodes)
    stable_nodes = nodes if stable_placement == placement else placed_nodes(stable_placement, observed.nodes)
    new_rules = state.phase is Phase.PROMOTING
    zones = _zones(pool, profile if new_rules else stable_profile, observed, nodes if new_rules else stable_nodes)
    slices = count_slices(profile, zones, nodes, workers.pods, observed.held_by_others)
    stable_slices = (
        slices
        if (stable_profile, stable_placement) == (profile, placement)
        else count_slices(stable_profile, zones, stable_nodes, workers.pods, observed.held_by_others)
    )
    scaling = find_scaling(pool, observed, stable_slices, state)
    targets = spread(
        pool.spec,
        slices if new_rules else stable_slices,
        workers.present(),
        workers.present(state.canary if new_rules else state.stable),
        moving=state.canary is not None and state.phase in {Phase.PROMOTING, Phase.ROLLING_BACK},
        scaled=None if scaling is None else scaling.desired,
    )
    return Demand(
        inputs,
        wanted,
        profile,
        stable_profile,
        zones,
        slices,
        stable_slices,
        targets,
        workers,
        placement=placement,
        nodes=nodes,
        stable_nodes=stable_nodes,
        overcommitted=overcommitted(stable_profile, observed.nodes, workers.pods, observed.held_by_others),
        scaling=scaling,
    )


def _placement_of(revision: ObservedRevision | None, pool: InferencePool, observed: ObservedPool) -> Placement:
    """A stored revision keeps the placement it was rendered with; a new one gets what the spec and the installation say today."""
    if revision is None:
        return read_placement(placed(merge(observed.installation.worker_defaults, pool.spec.worker)))
    template = revision.data.get("template") or {}
    return read_placement(template.get("spec") or {})


def pool_needs(pool: InferencePool, observed: ObservedPool) -> NeedsStatus | None:
    """Return what is known of the memory that the model of the spec takes, with its engine's settings."""
    spec, stored, inputs = pool.spec, observed.status.needs, revision_inputs(pool.spec)
    return learn_needs(stored, inputs, spec.engine, living(observed.pods), observed.revisions, observed.nodes)


def _profile_of(
    revision: ObservedRevision | None, pool: InferencePool, observed: ObservedPool, choice: Choice
) -> Profile | NoProfile:
    """A stored revision keeps the profile it was rendered with; a new one gets what the spec and the nodes say today."""
    if revision is None:
        return choose_profile(pool.spec.slice, observed.nodes, choice)
    resource = revision.data.get("resource")
    if resource is None:
        return Profile(resource=None)
    return Profile(resource=str(resource), memory=slice_memory(str(resource), observed.nodes))


def _zones(
    pool: InferencePool, profile: Profile, observed: ObservedPool, nodes: tuple[ObservedNode, ...]
) -> tuple[str, ...]:
    """The zones that the spec names, else those that offer the slice, else those in which workers already are."""
    if pool.spec.zones.names:
        return tuple(pool.spec.zones.names)
    occupied = {item.zone for item in observed.deployments if item.replicas}
    offering = zones_offering(profile, nodes, occupied)
    return offering or tuple(sorted({item.zone for item in observed.deployments}))
