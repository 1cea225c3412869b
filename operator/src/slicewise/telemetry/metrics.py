"""Metrics of the operator, all beginning with `slicewise_`. What the cache knows is read at each scrape."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from slicewise.telemetry.pools import PoolCollector, PoolNow

_MOST_BYTES = 2**63


@dataclass(frozen=True, slots=True)
class Scraped:
    """Where values come from that are read at the moment of a scrape."""

    pools: Callable[[], Mapping[str, int]]
    """Reason of `Ready` → pools; none while this replica does not act."""
    fetches: Callable[[], Iterable[tuple[str, str, int, int]]]
    """(Namespace, pool, bytes done, bytes in all) of pools whose weights are being fetched; none while this replica does not act."""
    watch_silence: Callable[[], Mapping[str, float]]
    """Watched collection → seconds since its watch showed life."""
    waiting: Callable[[], int]
    """Pools that wait to be reconciled."""
    running: Callable[[], int]
    """Running reconciles."""


class Metrics:
    """The operator's metrics, in a registry of their own."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began: no rule asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._reconciles = Counter(
            "slicewise_reconcile",
            "Reconciles by result: unchanged, wrote, refused, error.",
            ["result"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "slicewise_reconcile_duration_seconds",
            "Duration of a reconcile.",
            registry=self.registry,
            buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120),
        )
        self._errors = Counter(
            "slicewise_reconcile_errors",
            "Failed reconciles by kind and code.",
            ["kind", "code"],
            registry=self.registry,
        )
        self._requests = Counter(
            "slicewise_api_requests",
            "Requests to the API server by verb and code (0: no answer); kopf's lists and watches are not among them.",
            ["verb", "code"],
            registry=self.registry,
        )
        self._pods = Counter(
            "slicewise_pods_removed", "Worker pods that were removed, by reason.", ["reason"], registry=self.registry
        )
        self._rollouts = Counter(
            "slicewise_rollout_outcomes",
            "Rollouts that ended, by outcome (promoted, given_up, taken_back) and reason.",
            ["outcome", "reason"],
            registry=self.registry,
        )
        self._rollout_seconds = Histogram(
            "slicewise_rollout_duration_seconds",
            "From a rollout's start to its outcome.",
            ["outcome"],
            registry=self.registry,
            buckets=(30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 21600, 86400),
        )
        self._fallback = Counter(
            "slicewise_fallback_switches",
            "Switches between slices and CPU fallback, by what serves from then on: cpu, slices.",
            ["to"],
            registry=self.registry,
        )
        self._leader = Gauge("slicewise_leader", "1 while this replica acts.", registry=self.registry)

    def reconciled(self, result: str, seconds: float, error: BaseException | None) -> None:
        """Count a reconcile."""
        self._reconciles.labels(result).inc()
        self._seconds.observe(seconds)
        if error is not None:
            self._errors.labels(type(error).__name__, str(getattr(error, "code", ""))).inc()

    def requested(self, verb: str, code: int) -> None:
        """Count a request to the API server."""
        self._requests.labels(verb, str(code)).inc()

    def pod_removed(self, reason: str) -> None:
        """Count a pod that was removed."""
        self._pods.labels(reason).inc()

    def rollout_ended(self, outcome: str, reason: str, seconds: float | None) -> None:
        """Count a rollout that was decided. `seconds`: how long it took; None where that is not known."""
        self._rollouts.labels(outcome, reason).inc()
        if seconds is not None:
            self._rollout_seconds.labels(outcome).observe(seconds)

    def fallback_switched(self, to: str) -> None:
        """Count a switch to the CPU fallback (`cpu`) or back (`slices`)."""
        self._fallback.labels(to).inc()

    def leading(self, leads: bool) -> None:
        """Say whether this replica acts."""
        self._leader.set(1 if leads else 0)

    def scrape_from(self, scraped: Scraped) -> None:
        """Add the values that are read at a scrape."""
        self.registry.register(_Scrape(scraped))

    def show_pools(
        self, pools: Callable[[], Iterable[PoolNow]], slices: Callable[[], Mapping[tuple[str, str, str], int]]
    ) -> None:
        """Add what the pools' status says; see `PoolCollector`."""
        self.registry.register(PoolCollector(pools, slices))

    def add(self, collector: Collector) -> None:
        """Add what a collector reads at each scrape."""
        self.registry.register(collector)

    def render(self) -> bytes:
        """Return all metrics in the text format of Prometheus."""
        return generate_latest(self.registry)


class _Scrape(Collector):
    def __init__(self, scraped: Scraped) -> None:
        self._scraped = scraped

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        pools = GaugeMetricFamily("slicewise_pools", "Pools by the reason of Ready.", labels=["reason"])
        for reason, count in sorted(self._scraped.pools().items()):
            pools.add_metric([reason], count)
        yield pools
        done = GaugeMetricFamily("slicewise_fetch_done_bytes", "Weights fetched so far.", labels=["namespace", "pool"])
        total = GaugeMetricFamily("slicewise_fetch_total_bytes", "Weights to fetch.", labels=["namespace", "pool"])
        for namespace, pool, bytes_done, bytes_total in self._scraped.fetches():
            # One pool's sum must not take the others' metrics away, whatever its pods say.
            done.add_metric([namespace, pool], float(min(bytes_done, _MOST_BYTES)))
            total.add_metric([namespace, pool], float(min(bytes_total, _MOST_BYTES)))
        yield done
        yield total
        silence = GaugeMetricFamily(
            "slicewise_watch_silence_seconds", "Since a watch showed life.", labels=["collection"]
        )
        for path, seconds in self._scraped.watch_silence().items():
            silence.add_metric([path], seconds)
        yield silence
        yield GaugeMetricFamily(
            "slicewise_pools_waiting", "Pools that wait to be reconciled.", value=self._scraped.waiting()
        )
        yield GaugeMetricFamily("slicewise_reconciles_running", "Running reconciles.", value=self._scraped.running())
