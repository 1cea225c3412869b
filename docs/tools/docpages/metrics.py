"""docs/reference/metrics.md: every metric, read from the registries that the programs serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry

from docpages.envoy_metrics import envoy_metrics
from docpages.metric import Metric
from slicewise.clients.stats import STATS_FILTER
from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import Tokens, Work
from slicewise.pool.outcome import Scaled
from slicewise.settings import OperatorSettings
from slicewise.telemetry.cost import CostCollector, PoolCost
from slicewise.telemetry.metrics import Metrics, Scraped
from slicewise.telemetry.pools import PoolNow, PoolShown
from slicewise_gateway.agent.metrics import AgentMetrics
from slicewise_gateway.edge.metrics import EdgeMetrics
from slicewise_gateway.settings import EdgeSettings, GatewaySettings
from slicewise_jobs.dispatch.metrics import DispatchMetrics
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_jobs.settings import ApiSettings, DispatchSettings
from slicewise_worker.engine.report import Progress
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.settings import WorkerSettings
from slicewise_worker.weights.progress import Progress as Fetched
from slicewise_worker.weights.progress import _registry as fetch_registry
from slicewise_worker.weights.settings import FetchSettings

_OURS: Final = "slicewise_"
_HEAD: Final = """# Metrics

All are in the text format of Prometheus. A counter's name ends in `_total`; a histogram has `_bucket`, `_sum` and `_count`.
Operator and workers also serve `process_…` metrics. The chart's values `prometheus.serviceMonitor`, `prometheus.podMonitor`,
`prometheus.gatewayMonitor` and `prometheus.jobsMonitor` let Prometheus scrape them, `networkPolicy.metricsFrom` says who may connect, and
[alerts](../alerts.md) are built on them.
"""
_ENVOY: Final = """## Envoy (port 9090 of gateway pods, `/stats/prometheus`)

Envoy's own statistics, with the prefix `envoy_`
([list](https://www.envoyproxy.io/docs/envoy/latest/configuration/upstream/cluster_manager/cluster_stats)). Its counters have no
`_total` at their end unless their name in Envoy has. The cluster of a revision is `rev-REVISION`. Alerts, dashboards and the gate use
these:

{table}

The gate judges a canary by the statistics whose name in Envoy matches:

```
{filter}
```
"""


def programs() -> dict[str, tuple[Metric, ...]]:
    """Return heading → the metrics of that program."""
    return {
        f"Operator (port {_port(OperatorSettings, 'port')}, `/metrics`)": tuple(_operator()),
        f"Worker (port {_port(WorkerSettings, 'port')}, `/metrics`)": tuple(_worker()),
        f"Download of weights (port {_port(FetchSettings, 'port')}, `/metrics`)": tuple(_of(fetch_registry(Fetched()))),
        f"Gateway's agent (port {GatewaySettings.port}, `/metrics`)": tuple(_of(AgentMetrics().registry)),
        f"Gateway's edge (port {EdgeSettings.metrics_port}, `/metrics`)": tuple(_of(_edge().registry)),
        f"API of jobs (port {_port(ApiSettings, 'internal_port')}, `/metrics`)": tuple(_of(ApiMetrics().registry)),
        f"Dispatcher of jobs (port {_port(DispatchSettings, 'internal_port')}, `/metrics`)": tuple(
            _of(DispatchMetrics().registry)
        ),
    }


def _edge() -> EdgeMetrics:
    metrics = EdgeMetrics()
    metrics.say_redis(addressed=True)  # which only edges with a cache do
    return metrics


def _port(settings: Any, field: str) -> int:
    return int(settings.model_fields[field].default)


def page() -> str:
    """Return the page as Markdown."""
    parts = [_HEAD]
    for heading, metrics in programs().items():
        parts.append(f"## {heading}\n\n{_table(metrics)}\n")
    parts.append(_ENVOY.format(filter=STATS_FILTER, table=_table(envoy_metrics())))
    return "\n".join(parts)


def _table(metrics: Iterable[Metric]) -> str:
    rows = [f"| `{item.name}` | {item.kind} | {_labels(item)} | {item.text} |" for item in metrics]
    return "\n".join(["| metric | type | labels | |", "|---|---|---|---|", *rows])


def exported() -> dict[str, Metric]:
    """Return the name of each series of each program, Envoy's that we use among them → its metric."""
    everything = [*(item for each in programs().values() for item in each), *envoy_metrics()]
    return {series: item for item in everything for series in item.series()}


def _labels(metric: Metric) -> str:
    return ", ".join(f"`{label}`" for label in metric.labels)


def _operator() -> Iterator[Metric]:
    metrics = Metrics()
    one = Scraped(
        pools=lambda: {"reason": 1},
        fetches=lambda: [("namespace", "pool", 1, 2)],
        watch_silence=lambda: {"collection": 1.0},
        waiting=lambda: 0,
        running=lambda: 0,
    )
    metrics.scrape_from(one)
    metrics.show_pools(lambda: [_pool()], lambda: {("resource", "zone", "open"): 1})
    total = Sums(Spend(idle=1.0), Work(1.0, {"tenant": Tokens(1.0, 1.0)}))
    costs = [PoolCost("namespace", "pool", 1.0, total, 1.0, budget=1.0)]
    metrics.add(CostCollector(lambda: "USD", lambda: costs, lambda: {("resource", "zone", "open"): 1.0}))
    return _of(metrics.registry)


def _pool() -> PoolNow:
    """A pool with a sample of every metric: labels are read from samples."""
    shown = PoolShown(
        info=("model", "resource", "stable", "canary"),
        conditions=(("type", "True", "Reason"),),
        zones=(("zone", 1, 1),),
        phase="Analysing",
        weight=5,
        counts=(("canary", "requests", 1),),
        evidence=(("failed_above", 1.0),),
        cold_start=1.0,
    )
    scaled = Scaled(1, 1, 1, target=1.0, hold=1.0, acts=True)
    return PoolNow("namespace", "pool", shown, {("zone", "ready"): 1}, {("zone", "pod"): 0}, scaled)


def _worker() -> Iterator[Metric]:
    metrics = WorkerMetrics()
    idle = Progress(steps=0, busy=False, since=0.0, failed=None, running=0, waiting=0, cached_tokens=0)
    metrics.watch(lambda: idle, 1, 1)
    metrics.watch_health(lambda: True, lambda: None, lambda: None)
    return _of(metrics.registry)


def _of(registry: CollectorRegistry) -> Iterator[Metric]:
    """Yield what a registry serves. prometheus_client has no public way to the labels of a metric without samples."""
    for collector in registry._collector_to_names:
        labels: Any = getattr(collector, "_labelnames", None)
        for family in collector.collect():
            if not family.name.startswith(_OURS):
                continue
            seen = labels if labels is not None else _labels_of(family.samples)
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            yield Metric(
                f"{family.name}{suffix}", family.type, tuple(seen), f"{family.documentation.removesuffix('.')}."
            )


def _labels_of(samples: Any) -> list[str]:
    return sorted({label for sample in samples for label in sample.labels})
