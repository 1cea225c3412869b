"""One reconcile: read → observe → plan → apply → status → publish. Its parts are beside it.

It plans from the cache first. If nothing changes, it ends there, without a request. Otherwise it refreshes, reads the
pool again, plans with what it found, and writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

from slicewise.api.v1alpha1 import InferencePool, parse_pool
from slicewise.clients.clock import Clock
from slicewise.clients.kube import KubeApi
from slicewise.clients.resources import POOLS
from slicewise.cluster.cache import Cache, Key
from slicewise.cluster.records import Child, PoolEntry
from slicewise.controller.apply import Applier, ConflictError, Work
from slicewise.controller.diff import Change, compare, superfluous
from slicewise.controller.observe import Observer
from slicewise.pool.observed import ApplyFailure, ObservedPool
from slicewise.pool.outcome import PoolPlan
from slicewise.telemetry.pools import read_shown

PlanPool = Callable[[InferencePool, ObservedPool, float], PoolPlan]
PlanInvalid = Callable[[Sequence[str], ObservedPool, int, float], PoolPlan]
REFERENCE_POLL_SECONDS: Final = 15.0
"""How often a missing claim is looked for; those of users are not watched."""
CONFLICT_TRIES: Final = 3
"""Reconciles in a row over a stale view before backing off."""


class Publisher(Protocol):
    """Is called with what a reconcile did (events, metrics). Must not raise."""

    def transition(self, stored: Mapping[str, Any], plan: PoolPlan) -> None:
        """A new status was written: the plan's, over that of `stored`."""

    def deleted_pods(self, entry: PoolEntry, plan: PoolPlan) -> None:
        """Pods were deleted."""


@dataclass(frozen=True, slots=True)
class Done:
    """The result of a reconcile. `after`: seconds until the next one without an event; None: none is needed (the pool is gone)."""

    after: float | None
    refused: int = 0
    """Children that the API server refused: try again, but not at once."""
    wrote: bool = False


@dataclass(frozen=True, slots=True)
class _Decision:
    pool: InferencePool | None
    plan: PoolPlan
    work: Work


@dataclass(frozen=True, slots=True)
class Parts:
    """What reconciles are made of. `plan_pool`, `plan_invalid`: the decisions. `resync`: seconds between reconciles without an event."""

    cache: Cache
    kube: KubeApi
    observer: Observer
    applier: Applier
    publisher: Publisher
    clock: Clock
    plan_pool: PlanPool
    plan_invalid: PlanInvalid
    readable: Callable[[str], bool] = lambda _namespace: True
    """Whether everything that a reconcile needs may be read in a namespace."""
    resync: float = 1800


class Reconciler:
    """Reconciles pools. Used from one event loop; reconciles of one pool never overlap (the work queue sees to that)."""

    def __init__(self, parts: Parts) -> None:
        self._cache = parts.cache
        self._kube = parts.kube
        self._observer = parts.observer
        self._applier = parts.applier
        self._publisher = parts.publisher
        self._parts = parts

    async def run(self, key: Key) -> Done:
        """Reconcile a pool once. Raises ApiError when the API server is in trouble, ConflictError when it stays stale."""
        for attempt in range(CONFLICT_TRIES):
            entry = self._cache.pools.get(key)
            if entry is None or not entry.uid or entry.deleting:
                return Done(after=None)
            if not self._parts.readable(entry.namespace):
                return Done(after=None)  # half a view would prune and create at random; woken when it can be read
            try:
                return await self._reconcile(entry)
            except ConflictError:
                if attempt == CONFLICT_TRIES - 1:
                    raise
                await self._reread(entry)
        return Done(after=0)

    async def _reconcile(self, entry: PoolEntry) -> Done:
        stored = entry.stored()
        observed = self._observer.from_cache(entry, stored)
        decision = self._decide(entry, stored, observed)
        if decision.pool is not None and (not decision.work.nothing or self._observer.wants_refresh(entry)):
            version = entry.version
            known = await self._observer.refresh(entry, decision.pool, writes=not decision.work.nothing)
            if not entry.uid or entry.deleting:
                return Done(after=None)
            stored = entry.stored()
            seen = self._observer.from_cache(entry, stored, foreign_unknown=not known)
            if entry.version != version or seen != observed:
                decision = self._decide(entry, stored, seen)
        if decision.work.nothing:
            return self._done(entry, decision, wrote=False)
        if await self._reread(entry):
            stored = entry.stored()
            decision = self._decide(entry, stored, self._observer.from_cache(entry, stored))
        if not entry.uid or entry.deleting:
            return Done(after=None)
        return await self._write(entry, stored, decision)

    async def _write(self, entry: PoolEntry, stored: Mapping[str, Any], decision: _Decision) -> Done:
        plan = decision.plan
        before = entry.failures
        entry.failures = await self._applier.children(entry, decision.work)
        if decision.work.deletions:
            self._publisher.deleted_pods(entry, plan)
        if entry.failures != before:
            # What was refused is part of what there is to say.
            decision = self._decide(entry, stored, self._observer.from_cache(entry, stored))
            plan = decision.plan
        if plan.status != (stored.get("status") or {}):
            await self._applier.status(entry, stored["metadata"]["resourceVersion"], plan)
            self._publisher.transition(stored, plan)
        return self._done(entry, decision, wrote=True)

    def _decide(self, entry: PoolEntry, stored: Mapping[str, Any], observed: ObservedPool) -> _Decision:
        parsed = parse_pool(stored, stored=True)
        now = self._parts.clock.now()
        if isinstance(parsed, InferencePool):
            pool, plan = parsed, self._parts.plan_pool(parsed, observed, now)
        else:
            generation = int(stored["metadata"].get("generation") or 0)
            pool, plan = None, self._parts.plan_invalid(parsed, observed, generation, now)
        if plan.gateway_version is not None:
            entry.gateway_version = plan.gateway_version
        children = plan.children
        changes = () if children is None else compare(entry, children)
        prune = () if children is None else superfluous(entry, children)
        pending = _still_pending(observed.apply_failures, changes, prune)
        if pending != observed.apply_failures:
            entry.failures = pending
            return self._decide(entry, stored, replace(observed, apply_failures=pending))
        differs = plan.status != (stored.get("status") or {})
        return _Decision(pool, plan, Work(changes, prune, plan.deletions, differs))

    async def _reread(self, entry: PoolEntry) -> bool:
        """Read the pool from the store. Whether it differs from memory; one that is gone or another is taken in as such."""
        fresh = await self._kube.get(POOLS, entry.namespace, entry.name)
        if fresh is None:
            self._cache.ingest(POOLS, {"metadata": {**entry.stored()["metadata"]}}, deleted=True)
            return True
        if fresh["metadata"]["uid"] == entry.uid and fresh["metadata"]["resourceVersion"] == str(entry.version):
            return False
        self._cache.ingest(POOLS, fresh)
        return True

    def _done(self, entry: PoolEntry, decision: _Decision, *, wrote: bool) -> Done:
        status = decision.plan.status
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        ready, moving = conditions.get("Ready") or {}, conditions.get("Reconciling") or {}
        entry.satisfied = ready.get("status") == "True" and moving.get("status") != "True"
        entry.reason = str(ready.get("reason") or "Unknown")
        entry.shown = read_shown(status, decision.plan.drains_blocked)
        entry.scaled = decision.plan.scaling
        entry.resource = (status.get("slice") or {}).get("resource")
        after = (
            self._parts.resync
            if decision.plan.requeue_after is None
            else min(decision.plan.requeue_after, self._parts.resync)
        )
        references = entry.references
        if not all(references.claims.values()):
            after = min(after, REFERENCE_POLL_SECONDS)
        refresh = self._observer.next_refresh(entry)
        if refresh is not None:
            after = min(after, refresh)
        if wrote:
            after = 0.0  # what was written may be what the next step waits for, and its event is not told to anybody
        return Done(after=after, refused=len(entry.failures), wrote=wrote)


def _still_pending(
    failures: tuple[ApplyFailure, ...], changes: Sequence[Change], prune: Sequence[Child]
) -> tuple[ApplyFailure, ...]:
    """The refusals of the latest attempt that are still to be overcome; the others have been settled otherwise."""
    pending = {(change.resource.kind, change.name) for change in changes if change.action != "keep"}
    pending |= {(child.resource.kind, child.name) for child in prune}
    return tuple(failure for failure in failures if (failure.kind, failure.name) in pending)
