"""Demand: what the spec asks for, held against the slices there are. Made once a pass by `plan_pool`; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.api.v1alpha1 import InferencePool
from slicewise.pool.observed import ObservedPool, ObservedRevision
from slicewise.pool.revision import find_revision, revision_hash, revision_inputs
from slicewise.pool.rollout.state import Phase, RolloutState
from slicewise.pool.slices import (
    NoProfile,
    Profile,
    ZoneSlices,
    choose_profile,
    count_slices,
    slice_memory,
    zones_offering,
)
from slicewise.pool.workers import Workers, living
from slicewise.pool.zones import ZoneTarget, spread


@dataclass(frozen=True, slots=True)
class Demand:
    """The spec's wish and the means for it."""

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

    @property
    def exchangeable(self) -> bool:
        """Whether a slice that a stable worker leaves fits the wanted revision."""
        return self.profile.resource == self.stable_profile.resource


def read_demand(pool: InferencePool, observed: ObservedPool, state: RolloutState) -> Demand | NoProfile:
    """Return the demand of `pool`, or why no profile can be named for the revision it asks for."""
    inputs = revision_inputs(pool.spec)
    wanted = revision_hash(inputs)
    profile = _profile_of(find_revision(observed.revisions, wanted), pool, observed)
    if isinstance(profile, NoProfile):
        return profile
    stable_profile = profile
    stable = find_revision(observed.revisions, state.stable)
    if stable is not None:
        kept = _profile_of(stable, pool, observed)
        stable_profile = profile if isinstance(kept, NoProfile) else kept
    alive = frozenset(node.name for node in observed.nodes if node.ready)
    workers = Workers(living(observed.pods), observed.deployments, alive)
    rules = stable_profile if state.phase is not Phase.PROMOTING else profile
    zones = _zones(pool, rules, observed)
    slices = count_slices(profile, zones, observed.nodes, workers.pods, observed.held_by_others)
    stable_slices = (
        slices
        if stable_profile == profile
        else count_slices(stable_profile, zones, observed.nodes, workers.pods, observed.held_by_others)
    )
    targets = spread(pool.spec, slices if rules is profile else stable_slices, workers.present())
    return Demand(inputs, wanted, profile, stable_profile, zones, slices, stable_slices, targets, workers)


def _profile_of(revision: ObservedRevision | None, pool: InferencePool, observed: ObservedPool) -> Profile | NoProfile:
    """A stored revision keeps the profile it was rendered with; a new one gets what the spec and the nodes say today."""
    if revision is None:
        return choose_profile(pool.spec.slice, observed.nodes)
    resource = revision.data.get("resource")
    if resource is None:
        return Profile(resource=None)
    return Profile(resource=str(resource), memory=slice_memory(str(resource), observed.nodes))


def _zones(pool: InferencePool, profile: Profile, observed: ObservedPool) -> tuple[str, ...]:
    """The zones that the spec names, else those that offer the slice, else those in which workers already are."""
    if pool.spec.zones.names:
        return tuple(pool.spec.zones.names)
    offering = zones_offering(profile, observed.nodes)
    return offering or tuple(sorted({item.zone for item in observed.deployments}))
