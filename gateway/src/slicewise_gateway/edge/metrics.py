"""The edge's metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics

_WAITS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300)


class EdgeMetrics:
    """Written by the edge's parts, read by `/metrics`."""

    def __init__(self) -> None:
        # A second series for each counter, with the time it began: no rule asks for it.
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = CollectorRegistry()
        self.answers = Counter(
            "slicewise_edge_answers",
            "Requests that passed the response cache: hit (from Redis), shared (with one that ran), miss, bypass.",
            ["outcome"],
            registry=self.registry,
        )
        self.upstream = Counter(
            "slicewise_edge_upstream_requests", "Requests of the cache that were sent on.", registry=self.registry
        )
        self.stored = Counter("slicewise_edge_stored", "Answers that were stored.", registry=self.registry)
        self.not_stored = Counter(
            "slicewise_edge_not_stored",
            "Misses whose answer was not stored: status, broken, large, revision, redis, full.",
            ["reason"],
            registry=self.registry,
        )
        self.unreadable = Counter(
            "slicewise_edge_unreadable_entries", "Entries in Redis that were no answers.", registry=self.registry
        )
        self.redis_errors = Counter(
            "slicewise_edge_redis_errors",
            "Calls of Redis that failed: timeout, connection, refused (an error reply), skipped (not made, after failures).",
            ["kind"],
            registry=self.registry,
        )
        self.redis_open = Gauge(
            "slicewise_edge_redis_left_alone", "1 while Redis is not asked because it failed.", registry=self.registry
        )
        self._redis_addressed: Gauge | None = None
        self.malformed = Counter(
            "slicewise_edge_malformed_requests", "Requests that were refused here.", registry=self.registry
        )
        self.waiting = Gauge(
            "slicewise_edge_held_requests",
            "Requests that wait for a worker, or are answered after it.",
            registry=self.registry,
        )
        self.held = Counter(
            "slicewise_edge_held",
            "Requests that found no worker: answered (after waiting), expired, full (refused at once), left (by the client).",
            ["outcome"],
            registry=self.registry,
        )
        self.held_seconds = Histogram(
            "slicewise_edge_held_seconds",
            "How long requests waited for a worker.",
            buckets=_WAITS,
            registry=self.registry,
        )
        # Present from the start: a rate over a counter that appears with its first event misses that event.
        for outcome in ("hit", "shared", "miss", "bypass"):
            self.answers.labels(outcome)
        for kind in ("timeout", "connection", "refused", "skipped"):
            self.redis_errors.labels(kind)
        for outcome in ("answered", "expired", "full", "left"):
            self.held.labels(outcome)

    def say_redis(self, *, addressed: bool) -> None:
        """Say whether there is an address of a Redis.

        The operator takes 0 for a Secret that is missing. So there is no such gauge before the address was looked for, nor in an edge
        without a cache.
        """
        if self._redis_addressed is None:
            self._redis_addressed = Gauge(
                "slicewise_edge_redis_addressed",
                "1 while there is an address of a Redis that can be one; 0: no answer is cached.",
                registry=self.registry,
            )
        self._redis_addressed.set(addressed)
