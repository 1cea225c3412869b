"""The metrics of a dispatcher."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_WAITED = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 10, 60, 300, 1800, 3600, 21600, 86400)
FATES = ("done", "failed", "again", "dead", "refused", "lost", "returned")
BY_TIME = ("lease_ended", "dead", "queued", "expired", "deleted")


class DispatchMetrics:
    """Written by the dispatcher's parts, read by `/metrics`."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began: no rule asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = CollectorRegistry()
        self.attempts = Counter(
            "slicewise_dispatcher_attempts",
            "Attempts by what became of them: done, failed (not tried again), again, dead (the last attempt failed), refused (no room), "
            "lost (cancelled, or another dispatcher has the job), returned (at a drain).",
            ["fate"],
            registry=self.registry,
        )
        self.by_time = Counter(
            "slicewise_dispatcher_by_time",
            "Jobs whose time had come, by what it did: lease_ended (queued again), dead, queued (a wait was over), expired, deleted.",
            ["kind"],
            registry=self.registry,
        )
        self.running = Gauge("slicewise_dispatcher_running", "Jobs that it runs now.", registry=self.registry)
        self.limit = Gauge(
            "slicewise_dispatcher_limit",
            "Jobs that it would run at a time now; less while it was refused.",
            registry=self.registry,
        )
        self.waited = Histogram(
            "slicewise_dispatcher_waited_seconds",
            "From the acceptance of a job to its first claim.",
            buckets=_WAITED,
            registry=self.registry,
        )
        self.database_errors = Counter(
            "slicewise_dispatcher_database_errors", "Transactions that the database did not do.", registry=self.registry
        )
        self.probes = Counter(
            "slicewise_dispatcher_probes",
            "Questions whether the pool answers, after jobs that had no answer: serves, away, unknown.",
            ["answer"],
            registry=self.registry,
        )
        for answer in ("serves", "away", "unknown"):
            self.probes.labels(answer)
        self.ready = Gauge(
            "slicewise_dispatcher_database_ready",
            "1 while the database can be trusted with jobs.",
            registry=self.registry,
        )
        self.ended = {fate: self.attempts.labels(fate) for fate in FATES}
        """The series of attempts by fate: looking a label up costs as much as counting."""
        for kind in BY_TIME:
            self.by_time.labels(kind)
