"""Builds one frozen `ObservedPool` from the cache, and refreshes what the watches do not bring.

`from_cache` sends no request: it takes the cache and what the latest refresh found. `refresh` sends requests: references, foreign
pods, progress of the weights, where workers compute. A reconcile starts from the cache and refreshes only when there is
something to do or to wait for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from slicewise.api.labels import ZONE_KEY
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.clients.bounded import at_most
from slicewise.clients.clock import Clock
from slicewise.clients.gateways import Gateways
from slicewise.clients.jobs import JobsPrograms
from slicewise.clients.kube import KubeApi
from slicewise.clients.resources import BUDGETS, DEPLOYMENTS, REVISIONS
from slicewise.clients.workers import Workers
from slicewise.cluster.cache import Cache
from slicewise.cluster.foreign import ForeignPods
from slicewise.cluster.gateway_pods import GatewayRecord, ask, observed_gateway
from slicewise.cluster.jobs_pods import JobsRecord, ask_standing, observed_jobs_pods
from slicewise.cluster.measure import measure, offer
from slicewise.cluster.measure_load import measure_load, offer_load, requests_of
from slicewise.cluster.records import PoolEntry, read_revision
from slicewise.cluster.references import ReferenceReader, next_events, pending_claim
from slicewise.cluster.strangers import by_zone
from slicewise.manifests.installation import Installation
from slicewise.manifests.metadata import dispatch_name, fallback_name, gateway_name, jobs_name
from slicewise.objects.pods import PodRecord, is_lost, timestamp
from slicewise.pool.facts import FAILED_MOUNT
from slicewise.pool.observed import (
    FetchProgress,
    ObservedBudget,
    ObservedDeployment,
    ObservedNode,
    ObservedPod,
    ObservedPool,
)
from slicewise.pool.observed_jobs import ObservedJobs

INFO_SECONDS: Final = 2.0
"""After how long a ready worker that does not say where it computes is asked again; each time after twice as long."""
LONGEST_INFO_SECONDS: Final = 300.0
ASKED_AT_ONCE: Final = 16
"""Pods of one pool that are asked at the same time, which bounds the memory that their answers take."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What a refresh asks."""

    kube: KubeApi
    workers: Workers
    gateways: Gateways
    jobs: JobsPrograms
    foreign: ForeignPods


class Observer:
    """Builds `ObservedPool`."""

    def __init__(self, cache: Cache, sources: Sources, clock: Clock, installation: Installation) -> None:
        self._cache = cache
        self._references = ReferenceReader(sources.kube, clock)
        self._workers = sources.workers
        self._gateways = sources.gateways
        self._jobs = sources.jobs
        self._foreign = sources.foreign
        self._clock = clock
        self._installation = installation

    def from_cache(self, entry: PoolEntry, stored: Mapping[str, Any], *, foreign_unknown: bool = False) -> ObservedPool:
        """Return the view from memory. `stored`: the pool as the API server has it."""
        status = PoolStatus.read(stored.get("status") or {})
        topology = ((stored.get("spec") or {}).get("zones") or {}).get("topologyKey") or ZONE_KEY
        deployments = [
            child.facts
            for child in entry.children
            if child.resource is DEPLOYMENTS
            and child.owner == entry.uid
            and isinstance(child.facts, ObservedDeployment)
        ]
        strangers = by_zone(entry.strangers)
        made = timestamp(stored["metadata"].get("creationTimestamp"))
        return ObservedPool(
            pods=tuple(
                replace(_pod(pod, self._cache.nodes, made), requests=requests_of(entry, uid, self._clock.monotonic()))
                for uid, pod in sorted(entry.pods.items(), key=lambda item: item[1].observed.name)
            ),
            gateway_pods=observed_gateway(entry.gateway_pods.values(), self._cache.nodes, made),
            gateway_failure=next((item.failure for item in deployments if item.name == gateway_name(entry.name)), None),
            deployments=tuple(item for item in deployments if item.revision),
            fallback=next((item for item in deployments if item.name == fallback_name(entry.name)), None),
            fallback_pods=tuple(
                sorted(
                    (_pod(pod, self._cache.nodes, made) for pod in entry.fallback_pods.values()),
                    key=lambda pod: pod.name,
                )
            ),
            jobs=ObservedJobs(
                observed_jobs_pods(entry.jobs_pods.values(), self._cache.nodes, made),
                next((item.failure for item in deployments if item.failure and item.name in _jobs_names(entry)), None),
            ),
            revisions=tuple(
                revision
                for child in entry.children
                if child.resource is REVISIONS and child.owner == entry.uid and not child.terminating
                if (revision := read_revision(child)) is not None
            ),
            budgets=tuple(
                replace(child.facts, strangers=strangers[child.facts.zone])
                for child in entry.children
                if child.resource is BUDGETS and child.owner == entry.uid and not child.terminating
                if isinstance(child.facts, ObservedBudget)
            ),
            nodes=self._nodes(topology),
            held_by_others=None if foreign_unknown else self._held_by_others(entry),
            sees_all_namespaces=self._foreign.sees_all,
            references=replace(
                entry.references, pending=pending_claim(entry), namespace_terminating=_namespace_ends(entry)
            ),
            apply_failures=entry.failures,
            status=status,
            installation=self._installation,
            measured=offer(entry, status),
            load=offer_load(entry, stored, self._clock.monotonic()),
            cost=entry.cost,
            scaled_by=entry.scaled_by,
        )

    def wants_refresh(self, entry: PoolEntry) -> bool:
        """Whether something outside the cache matters now, even when the plan from memory changes nothing."""
        return bool(self._unheard(entry)) or self._wants_all(entry)

    def _wants_all(self, entry: PoolEntry) -> bool:
        """Whether more than what jobs say matters."""
        now = self._clock.monotonic()
        asks = any(pod.fetching or (_unasked(pod) and pod.info_due <= now) for pod in entry.pods.values())
        wanted = entry.gateway_version
        behind = any(pod.is_due(wanted, now) and not self._lost(pod) for pod in entry.gateway_pods.values())
        return asks or behind or _looks(entry) or (entry.load is not None and entry.load.is_due(now))

    def next_refresh(self, entry: PoolEntry) -> float | None:
        """Return the seconds until a pod, or what Events say of pods and claims, is to be asked for again; None when nothing is."""
        now, wanted = self._clock.monotonic(), entry.gateway_version
        waits = [max(0.5, pod.info_due - now) for pod in entry.pods.values() if _unasked(pod)]
        waits += [
            0.0 if pod.is_due(wanted, now) else pod.due - now
            for pod in entry.gateway_pods.values()
            if pod.lacks(wanted) and not self._lost(pod)
        ]
        waits += [pod.wait(now) for pod in self._asked(entry)]
        if entry.load is not None:
            waits.append(entry.load.wait(now))
        if _looks(entry):
            waits += next_events(entry, self._clock.now())
        return min(waits, default=None)

    async def refresh(self, entry: PoolEntry, pool: InferencePool, *, writes: bool = True) -> bool:
        """Go out for what memory lacks. Returns whether foreign pods could be read; remembers the rest.

        `writes`: the plan from memory changes something. A pool at rest whose jobs are asked asks the API server for nothing.
        """
        if not writes and not self._wants_all(entry):
            await self._ask_jobs(entry)
            return True
        known, *_ = await asyncio.gather(
            self._foreign.refresh(self._offering(entry)), self._refresh_own(entry, pool), self._ask_jobs(entry)
        )
        return known

    def _nodes(self, topology: str) -> tuple[ObservedNode, ...]:
        nodes = (self._cache.nodes[name] for name in sorted(self._cache.nodes))
        if topology == ZONE_KEY:
            return tuple(nodes)
        return tuple(replace(node, zone=node.labels.get(topology, "")) for node in nodes)

    def _offering(self, entry: PoolEntry) -> list[str]:
        """Nodes whose foreign pods matter to the pool: those that offer its slice, or any slice while it is not known."""
        nodes = self._cache.nodes.values()
        return [n.name for n in nodes if (entry.resource in n.allocatable if entry.resource else n.allocatable)]

    def _held_by_others(self, entry: PoolEntry) -> Mapping[str, Mapping[str, int]]:
        held: dict[str, dict[str, int]] = {node: dict(counts) for node, counts in self._foreign.known().items()}
        own: dict[tuple[str | None, str | None], int] = {}
        for pod in entry.pods.values():
            if pod.observed.holds_slice:
                place = (pod.observed.node, pod.observed.resource)
                own[place] = own.get(place, 0) + 1
        for (node, resource), count in self._cache.holdings.items():
            others = count - own.get((node, resource), 0)
            if others > 0:
                counts = held.setdefault(node, {})
                counts[resource] = counts.get(resource, 0) + others
        return held

    async def _refresh_own(self, entry: PoolEntry, pool: InferencePool) -> None:
        pods = list(entry.pods.values())
        cached = pool.spec.gateway is not None and pool.spec.gateway.response_cache is not None
        now, wanted = self._clock.monotonic(), entry.gateway_version
        behind = [pod for pod in entry.gateway_pods.values() if pod.is_due(wanted, now) and not self._lost(pod)]
        await asyncio.gather(
            self._references.refresh(entry, pool),
            measure(entry, pool, self._gateways, self._clock, self._lost),
            measure_load(entry, self._gateways, self._workers, self._clock, self._lost),
            at_most(ASKED_AT_ONCE, [self._ask_pod(pod) for pod in pods]),
            at_most(ASKED_AT_ONCE, [ask(pod, self._gateways, wanted, now, cached=cached) for pod in behind]),
        )

    def _asked(self, entry: PoolEntry) -> list[JobsRecord]:
        """Pods of jobs whose programs are asked whether they can serve."""
        return [pod for pod in entry.jobs_pods.values() if pod.is_asked and not self._lost(pod)]

    def _unheard(self, entry: PoolEntry) -> list[JobsRecord]:
        """Those that are asked now."""
        return [pod for pod in self._asked(entry) if pod.wait(self._clock.monotonic()) <= 0.0]

    async def _ask_jobs(self, entry: PoolEntry) -> None:
        now = self._clock.monotonic()
        await at_most(ASKED_AT_ONCE, [ask_standing(pod, self._jobs, now) for pod in self._unheard(entry)])

    def _lost(self, pod: GatewayRecord | JobsRecord) -> bool:
        """Whether the node of a pod is gone or silent."""
        return is_lost(pod.node, self._cache.nodes)

    async def _ask_pod(self, pod: PodRecord) -> None:
        if not pod.address:
            return
        if pod.fetching:
            pod.progress = await self._workers.fetch_progress(pod.address)
        elif _unasked(pod) and pod.info_due <= self._clock.monotonic():
            pod.info_tries += 1
            pod.info_due = self._clock.monotonic() + min(LONGEST_INFO_SECONDS, INFO_SECONDS * 2.0**pod.info_tries)
            container = pod.container
            info = await self._workers.worker_info(pod.address)
            if info is not None:
                pod.info, pod.info_of, pod.info_tries = info, container, 0


def _jobs_names(entry: PoolEntry) -> tuple[str, str]:
    return jobs_name(entry.name), dispatch_name(entry.name)


def _looks(entry: PoolEntry) -> bool:
    """Whether what is outside the cache is asked for: the pool is not as it should be, or a claim is said to be in trouble."""
    return not entry.satisfied or pending_claim(entry) is not None


def _namespace_ends(entry: PoolEntry) -> bool:
    """The API server says so when it refuses to create something there (reason NamespaceTerminating)."""
    return any(failure.code == 403 and "being terminated" in failure.message for failure in entry.failures)


def _unasked(pod: PodRecord) -> bool:
    return bool(pod.container) and pod.info_of != pod.container


def _pod(pod: PodRecord, nodes: Mapping[str, ObservedNode], made: float = 0.0) -> ObservedPod:
    observed = pod.observed
    if observed.created_at < made:
        # Left behind by a former pool of that name: it holds its slice, and the garbage collector is about to take it.
        observed = replace(observed, terminating=True)
    if observed.ready and is_lost(observed.node, nodes):
        observed = replace(observed, ready=False, node_lost=True)
    if pod.creating and pod.lacks:
        observed = replace(observed, waiting_reason=FAILED_MOUNT, waiting_message=pod.lacks)
    if pod.fetching:
        observed = replace(observed, fetch=pod.progress or FetchProgress())
    if pod.container and pod.info_of == pod.container:
        observed = replace(observed, worker=pod.info)
    return observed
