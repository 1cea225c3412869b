"""Metrics of what the pools' status says: conditions, workers, floors, slices, rollouts. Served by the replica that acts, alone.

Names and labels of pools, zones, revisions and pods are the cluster's, so there are as many series as pools, zones and workers; none
is made of what a client or a worker sends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from sys import intern
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slicewise.pool.outcome import Scaled
from slicewise.telemetry.scaling import scaling_families

_POOL: Final = ["namespace", "pool"]
_KINDS: Final = ("requests", "failed", "timed", "slow", "refused", "left")
_EVIDENCE: Final = {
    "slowAbove": "slow_above",
    "failedAbove": "failed_above",
    "slowBelow": "slow_below",
    "failedBelow": "failed_below",
    "worseThanStable": "worse_than_stable",
    "refusedMore": "refused_more",
    "leftMore": "left_more",
}


@dataclass(frozen=True, slots=True)
class PoolShown:
    """What the status of the latest plan says, as far as metrics show it."""

    info: tuple[str, str, str, str]
    """Model, resource of its slices, stable revision, canary revision; each empty where it does not exist."""
    conditions: tuple[tuple[str, str, str], ...] = ()
    """Type, status and reason."""
    zones: tuple[tuple[str, int, int], ...] = ()
    """Zone, workers wanted, floor."""
    phase: str = ""
    """Of the rollout."""
    weight: int = 0
    """Per cent of the requests that the canary gets."""
    counts: tuple[tuple[str, str, int], ...] = ()
    """`canary` or `stable`, kind, number of requests; of the verdict while there is a canary."""
    evidence: tuple[tuple[str, float], ...] = ()
    cold_start: float | None = None
    """Seconds from a worker's place on a node until it serves; None where none was measured."""
    drains_blocked: Mapping[str, int] = field(default_factory=dict)
    """Zone → cordoned nodes that wait for the pool."""


@dataclass(frozen=True, slots=True)
class PoolNow:
    """A pool at the moment of a scrape."""

    namespace: str
    name: str
    shown: PoolShown | None
    """None before its first reconcile."""
    workers: Mapping[tuple[str, str], int]
    """(Zone, state) → worker pods."""
    restarts: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """(Zone, pod) → how often its model server was started again."""
    scaled: Scaled | None = None
    """What scaling by load says; None where the spec has none."""


def read_shown(status: Mapping[str, Any], drains_blocked: Mapping[str, int] | None = None) -> PoolShown:
    """Return what metrics show of a `.status` that was planned, and of the plan's blocked drains."""
    scaling: Mapping[str, Any] = status.get("autoscaling") or {}
    rollout: Mapping[str, Any] = status.get("rollout") or {}
    revisions: Mapping[str, Any] = status.get("revisions") or {}
    verdict: Mapping[str, Any] = (rollout.get("verdict") or {}) if revisions.get("canary") else {}
    return PoolShown(
        info=(
            _text(status.get("model")),
            _text((status.get("slice") or {}).get("resource")),
            _text(revisions.get("stable")),
            _text(revisions.get("canary")),
        ),
        conditions=tuple(
            (intern(c["type"]), intern(c["status"]), intern(c["reason"])) for c in status.get("conditions") or ()
        ),
        zones=tuple(
            (intern(z["name"]), int(z.get("desired") or 0), int(z.get("floor") or 0)) for z in status.get("zones") or ()
        ),
        phase=_text(rollout.get("phase")),
        weight=int(rollout.get("weight") or 0) if revisions.get("canary") else 0,
        counts=tuple(
            (version, kind, int(verdict[version][kind]))
            for version in ("canary", "stable")
            for kind in _KINDS
            if (verdict.get(version) or {}).get(kind) is not None
        ),
        evidence=tuple(
            (name, float(verdict["evidence"][kind]))
            for kind, name in _EVIDENCE.items()
            if (verdict.get("evidence") or {}).get(kind) is not None
        ),
        cold_start=scaling.get("coldStartSeconds"),
        drains_blocked=dict(drains_blocked or {}),
    )


def _text(value: object) -> str:
    return intern(str(value)) if value else ""


class PoolCollector(Collector):
    """The families of this module, read at each scrape; none while this replica does not act."""

    def __init__(
        self, pools: Callable[[], Iterable[PoolNow]], slices: Callable[[], Mapping[tuple[str, str, str], int]]
    ) -> None:
        """`slices`: (resource, zone, state) → number."""
        self._pools = pools
        self._slices = slices

    def describe(self) -> Iterable[Metric]:
        """Say nothing: the names are known from the code, and a scrape at registration would be before the cache."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Yield the families."""
        pools = list(self._pools())
        yield from _states(pools)
        yield from _workers(pools)
        yield from _rollouts(pools)
        yield from scaling_families(pools)
        slices = _family(
            "slicewise_slices",
            "Slices by state: held by a worker, open (on a node that takes workers; pods of others may hold it), "
            "closed (on a node that takes none now).",
            ["resource", "zone", "state"],
        )
        for place, number in sorted(self._slices().items()):
            slices.add_metric(place, number)
        yield slices


def _states(pools: Iterable[PoolNow]) -> Iterator[Metric]:
    info = _family("slicewise_pool_info", "1; what the pool runs.", [*_POOL, "model", "resource", "stable", "canary"])
    conditions = _family(
        "slicewise_pool_condition", "1 for each condition as it is now.", [*_POOL, "type", "status", "reason"]
    )
    wanted = _family("slicewise_pool_workers_wanted", "Workers that the pool should have.", [*_POOL, "zone"])
    floor = _family(
        "slicewise_pool_floor", "Ready workers below which nothing of the operator's own goes.", [*_POOL, "zone"]
    )
    drains = _family(
        "slicewise_pool_drains_blocked",
        "Cordoned nodes whose drain waits for a worker of the pool that cannot go.",
        [*_POOL, "zone"],
    )
    cold = _family(
        "slicewise_autoscaling_cold_start_seconds",
        "From a worker's place on a node until it serves, as measured; without a sample before the first one.",
        _POOL,
    )
    for pool in pools:
        if (shown := pool.shown) is None:
            continue
        key = [pool.namespace, pool.name]
        info.add_metric([*key, *shown.info], 1)
        for condition in shown.conditions:
            conditions.add_metric([*key, *condition], 1)
        for zone, desired, least in shown.zones:
            wanted.add_metric([*key, zone], desired)
            floor.add_metric([*key, zone], least)
            drains.add_metric([*key, zone], shown.drains_blocked.get(zone, 0))
        if shown.cold_start is not None:
            cold.add_metric(key, shown.cold_start)
    yield from (info, conditions, wanted, floor, drains, cold)


def _workers(pools: Iterable[PoolNow]) -> Iterator[Metric]:
    workers = _family(
        "slicewise_pool_workers",
        "Worker pods by state: ready, suspect (ready on a device called unhealthy), fetching, starting, unplaced, ending, failed, lost.",
        [*_POOL, "zone", "state"],
    )
    restarts = CounterMetricFamily(
        "slicewise_pool_worker_restarts",
        "How often the container of a worker pod was started again; only of pods that exist.",
        labels=[*_POOL, "zone", "pod"],
    )
    for pool in pools:
        key = [pool.namespace, pool.name]
        for (zone, state), number in sorted(pool.workers.items()):
            workers.add_metric([*key, zone, state], number)
        for (zone, pod), number in sorted(pool.restarts.items()):
            restarts.add_metric([*key, zone, pod], number)
    yield from (workers, restarts)


def _rollouts(pools: Iterable[PoolNow]) -> Iterator[Metric]:
    phase = _family("slicewise_rollout_phase", "1; the phase that the rollout is in.", [*_POOL, "phase"])
    weight = _family("slicewise_rollout_weight_ratio", "Part of the requests that the canary gets.", _POOL)
    counts = _family(
        "slicewise_rollout_requests",
        "Requests that the verdict rests on, of canary and stable, by kind: requests, failed, timed, slow, refused, left.",
        [*_POOL, "version", "kind"],
    )
    evidence = _family(
        "slicewise_rollout_evidence",
        "Evidence of the gate by kind, each against what its name denies; 1 says nothing.",
        [*_POOL, "kind"],
    )
    for pool in pools:
        shown = pool.shown
        if shown is None:
            continue
        key = [pool.namespace, pool.name]
        if shown.phase:
            phase.add_metric([*key, shown.phase], 1)
        if shown.info[3]:
            weight.add_metric(key, shown.weight / 100)
        for version, kind, number in shown.counts:
            counts.add_metric([*key, version, kind], number)
        for kind, value in shown.evidence:
            evidence.add_metric([*key, kind], value)
    yield from (phase, weight, counts, evidence)


def _family(name: str, text: str, names: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, labels=names)
