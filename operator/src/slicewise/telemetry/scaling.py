"""Metrics of scaling by load: what was counted, what it asks for, and what the pool's number is. Served by the replica that acts, alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from slicewise.pool.outcome import Scaled

_POOL: Final = ["namespace", "pool"]


class ScaledPool(Protocol):
    """A pool at the moment of a scrape."""

    @property
    def namespace(self) -> str:
        """Its namespace."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def scaled(self) -> Scaled | None:
        """What scaling by load says; None where the spec has none."""


def scaling_families(pools: Iterable[ScaledPool]) -> Iterator[Metric]:
    """Yield the families. A number that is not known has no sample: 0 would be a load."""
    requests = GaugeMetricFamily(
        "slicewise_autoscaling_requests", "Requests that run or wait, as scaling by load counts them.", labels=_POOL
    )
    wanted = GaugeMetricFamily(
        "slicewise_autoscaling_wanted_workers", "Workers that the load alone asks for at this moment.", labels=_POOL
    )
    desired = GaugeMetricFamily(
        "slicewise_autoscaling_workers",
        "Workers that scaling by load asks for, with bounds and hold; acts is no with `mode: Advise` and beside another autoscaler.",
        labels=[*_POOL, "acts"],
    )
    target = GaugeMetricFamily(
        "slicewise_autoscaling_target_requests", "Requests for each worker; by `Auto` while few run.", labels=_POOL
    )
    hold = GaugeMetricFamily(
        "slicewise_autoscaling_hold_seconds",
        "How long the pool keeps the most workers that the load asked for.",
        labels=_POOL,
    )
    for pool in pools:
        if (scaled := pool.scaled) is None:
            continue
        key = [pool.namespace, pool.name]
        if scaled.requests is not None:
            requests.add_metric(key, scaled.requests)
        if scaled.wanted is not None:
            wanted.add_metric(key, scaled.wanted)
        desired.add_metric([*key, "yes" if scaled.acts else "no"], scaled.desired)
        target.add_metric(key, scaled.target)
        hold.add_metric(key, scaled.hold)
    yield from (requests, wanted, desired, target, hold)
