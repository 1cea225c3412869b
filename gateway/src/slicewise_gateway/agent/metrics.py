"""The agent's own metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from slicewise_gateway.agent.report import Report, Wanted


class AgentMetrics:
    """Written by the loop, read by `/metrics`."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began: no rule asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = CollectorRegistry()
        self.written = Counter(
            "slicewise_gateway_files_written", "Files of Envoy that were replaced.", registry=self.registry
        )
        self._programmed = Gauge(
            "slicewise_gateway_programmed", "1 when Envoy runs the wanted configuration.", registry=self.registry
        )
        self._refused = Gauge(
            "slicewise_gateway_files_refused", "Files that Envoy refused and does not run.", registry=self.registry
        )
        self._in_touch = Gauge(
            "slicewise_gateway_api_server_reachable", "1 when the API server answers.", registry=self.registry
        )
        self._endpoints = Gauge(
            "slicewise_gateway_endpoints",
            "Endpoints that may take requests.",
            ["cluster"],
            registry=self.registry,
        )
        self._tenants = Gauge("slicewise_gateway_tenants", "Tenants with a key.", registry=self.registry)

    def show(self, report: Report, wanted: Wanted | None, *, in_touch: bool) -> None:
        """Take over what is known now."""
        self._programmed.set(report.programmed)
        self._refused.set(len(report.refused))
        self._in_touch.set(in_touch)
        self._tenants.set(wanted.tenants if wanted else 0)
        self._endpoints.clear()
        for cluster, count in (wanted.clusters if wanted else {}).items():
            self._endpoints.labels(cluster).set(count)
