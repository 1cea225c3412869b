"""The metrics of the API."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_SECONDS = (0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
UPLOADS = ("stored", "invalid", "full", "busy", "unavailable")
OUTCOMES = ("accepted", "repeated", "conflict", "invalid", "backlog", "busy", "unavailable")


class ApiMetrics:
    """Written by the API's parts, read by `/metrics`."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began: no rule asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = CollectorRegistry()
        self.submitted = Counter(
            "slicewise_jobs_submitted",
            "Jobs that clients sent: accepted, repeated (known by its key), conflict (key with another body), invalid, "
            "backlog (above the tenant's limit), busy (no memory for its body), unavailable (the database).",
            ["outcome"],
            registry=self.registry,
        )
        self.submit_seconds = Histogram(
            "slicewise_jobs_submit_seconds",
            "From a job's arrival, its body read, to its commit.",
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commits = Counter(
            "slicewise_jobs_commits", "Transactions in which jobs were accepted.", registry=self.registry
        )
        self.dispatchers = Gauge(
            "slicewise_jobs_dispatchers",
            "Dispatchers that are connected and woken by new jobs.",
            registry=self.registry,
        )
        self.ready = Gauge(
            "slicewise_jobs_database_ready", "1 while the database can be trusted with jobs.", registry=self.registry
        )
        self.uploads = Counter(
            "slicewise_jobs_uploads",
            "Files that clients sent: stored, invalid, full (above the tenant's limit), busy (no memory for another upload), "
            "unavailable (the database).",
            ["outcome"],
            registry=self.registry,
        )
        self.streams = Gauge(
            "slicewise_jobs_event_streams", "Streams of a job's events that are open.", registry=self.registry
        )
        for outcome in UPLOADS:
            self.uploads.labels(outcome)
        for outcome in OUTCOMES:
            self.submitted.labels(outcome)
