"""The values under `prometheus`; a part of `chart_values.py`."""

# ruff: noqa: RUF012 - pydantic copies a default for each object; ruff knows that of bases in the same file only

from __future__ import annotations

from value_group import Annotations, Group, Labels, Name, PrometheusDuration


class ServiceMonitor(Group):
    """How the Prometheus operator scrapes the Slicewise operator."""

    enabled: bool = False
    """Make a ServiceMonitor; needs the Prometheus operator's CRDs."""
    interval: PrometheusDuration = "30s"
    """Time between scrapes."""
    labels: Labels = {}
    """Labels that your Prometheus selects monitors by."""


class PodMonitor(Group):
    """How the Prometheus operator scrapes the workers."""

    enabled: bool = False
    """Make a PodMonitor over the workers of all watched namespaces. Name Prometheus in `networkPolicy.metricsFrom` besides."""
    interval: PrometheusDuration = "30s"
    """Time between scrapes."""
    labels: Labels = {}
    """Labels that your Prometheus selects monitors by."""


class GatewayMonitor(PodMonitor):
    """How the Prometheus operator scrapes the gateways."""

    enabled: bool = False
    """Make a PodMonitor over the gateways of all watched namespaces. Name Prometheus in `networkPolicy.metricsFrom` besides."""


class JobsMonitor(PodMonitor):
    """How the Prometheus operator scrapes the programs of jobs."""

    enabled: bool = False
    """Make a PodMonitor over the APIs of jobs and their dispatchers in all watched namespaces. Name Prometheus in
    `networkPolicy.metricsFrom` besides."""


class Rules(Group):
    """Alerts."""

    enabled: bool = False
    """Make a PrometheusRule with the alerts of `files/alerts.yaml`."""
    labels: Labels = {}
    """Labels that your Prometheus selects rules by."""
    runbook_base_url: str = ""
    """Where you publish the folder `docs/runbooks`; each alert gets `runbook_url` = this + `/` + its page there. Empty: the page's path."""


class Dashboards(Group):
    """Dashboards for Grafana, as ConfigMaps that the sidecar of Grafana's chart takes in."""

    enabled: bool = False
    """Make a ConfigMap for each dashboard of `files/dashboards`."""
    namespace: Name = ""
    """Where; empty: the release's namespace. A sidecar that looks at its own namespace alone needs Grafana's."""
    labels: Labels = {"grafana_dashboard": "1"}
    """Labels that the sidecar selects by."""
    annotations: Annotations = {"grafana_folder": "Slicewise"}
    """Annotations; the one that is there names the folder, where the sidecar's `folderAnnotation` is `grafana_folder`."""


class Grafana(Group):
    """Dashboards. Off by default."""

    dashboards: Dashboards = Dashboards()
    """Dashboards as ConfigMaps."""


class Prometheus(Group):
    """Monitoring. Off by default, and never switched by what the cluster happens to offer."""

    service_monitor: ServiceMonitor = ServiceMonitor()
    """Scraping of the operator."""
    pod_monitor: PodMonitor = PodMonitor()
    """Scraping of the workers."""
    gateway_monitor: GatewayMonitor = GatewayMonitor()
    """Scraping of the gateways."""
    jobs_monitor: JobsMonitor = JobsMonitor()
    """Scraping of jobs."""
    rules: Rules = Rules()
    """Alerts."""
