"""The worker's metrics (prometheus-client). Names are API: dashboards, alerts and endpoint pickers read them."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    Summary,
    disable_created_metrics,
)

from slicewise_worker.engine.callers import Owner
from slicewise_worker.engine.cgroup import memory_limit, memory_used
from slicewise_worker.engine.report import Progress, Step
from slicewise_worker.health.pressure import Memory
from slicewise_worker.health.tenant_names import TenantNames

_REQUEST_BUCKETS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0, 1.5, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0)
_FIRST_TOKEN_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_TOKEN_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


def _with(buckets: tuple[float, ...], edge: float | None) -> tuple[float, ...]:
    """Return `buckets` with a boundary at `edge`, if there is one."""
    return buckets if edge is None else tuple(sorted({*buckets, edge}))


class WorkerMetrics:
    """Counts what the engine and the HTTP side do. Implements the engine's `Observer`."""

    def __init__(self, p95_seconds: float | None = None, gap_seconds: float | None = None) -> None:
        """Make the metrics in a registry of their own.

        `p95_seconds`: the limit of the pool's gate, which the times of requests get a bucket boundary at. `gap_seconds`: how long an
        answer may wait for its next token, a bucket boundary of the time between tokens.
        """
        disable_created_metrics()  # type: ignore[no-untyped-call] # no annotations there
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        prefix = "slicewise_worker"
        self._progress: Callable[[], Progress] | None = None
        self._answered = 0
        self._requests = Counter(
            f"{prefix}_requests",
            "Sequences that ended, by how: stop, length, cancelled, expired, error, refused.",
            ["finish_reason"],
            registry=registry,
        )
        self._rejected = Counter(
            f"{prefix}_rejected", "Requests that were refused, by error code.", ["code"], registry=registry
        )
        self._prompt = Counter(f"{prefix}_prompt_tokens", "Prompt tokens evaluated.", registry=registry)
        self._reused = Counter(
            f"{prefix}_cached_prompt_tokens",
            "Prompt tokens that were in the KV cache and were not evaluated again.",
            registry=registry,
        )
        self._generated = Counter(f"{prefix}_generated_tokens", "Tokens generated.", registry=registry)
        self._request_seconds = Histogram(
            f"{prefix}_request_duration_seconds",
            "From a request's arrival to its last token, for requests that were answered.",
            buckets=_with(_REQUEST_BUCKETS, p95_seconds),
            registry=registry,
        )
        self._first_token = Histogram(
            f"{prefix}_time_to_first_token_seconds",
            "From a request's arrival to its first token.",
            buckets=_with(_FIRST_TOKEN_BUCKETS, p95_seconds),
            registry=registry,
        )
        self._per_token = Histogram(
            f"{prefix}_time_per_output_token_seconds",
            "Mean time between the tokens of a request.",
            buckets=_TOKEN_BUCKETS,
            registry=registry,
        )
        self._add_engine(prefix, gap_seconds)
        self._add_tenants(prefix)

    def _add_tenants(self, prefix: str) -> None:
        """Make the metrics by tenant, the only ones with a label that clients have a say in: `TenantNames` bounds it."""
        self._tenants = TenantNames()
        self._tokens_of = Counter(
            f"{prefix}_tenant_tokens",
            "Tokens by tenant: prompt (of what was begun), cached (of those) and generated. The first 50, then `other`; empty: without.",
            ["tenant", "kind"],
            registry=self.registry,
        )
        self._queue_of = Summary(
            f"{prefix}_tenant_queue_seconds",
            "From a request's arrival until it was begun, by tenant; its count is that of the tenant's requests.",
            ["tenant"],
            registry=self.registry,
        )

    def _add_engine(self, prefix: str, gap_seconds: float | None) -> None:
        """Make the metrics of single steps and of what runs."""
        registry = self.registry
        self._step_seconds = Histogram(
            f"{prefix}_step_seconds", "Duration of one step of the engine.", buckets=_TOKEN_BUCKETS, registry=registry
        )
        self._batch = Histogram(
            f"{prefix}_batch_tokens", "Tokens evaluated in one step.", buckets=_BATCH_BUCKETS, registry=registry
        )
        self._chunk = Gauge(
            f"{prefix}_prompt_chunk_tokens",
            "Most prompt tokens that the last step with prompts could have.",
            registry=registry,
        )
        self._gap = Histogram(
            f"{prefix}_token_gap_seconds",
            "Longest time between a token of the step and the one before it in the same answer.",
            buckets=_with(_TOKEN_BUCKETS, gap_seconds),
            registry=registry,
        )
        self._info = Info(f"{prefix}_build", "What runs: versions, pool, revision, model.", registry=registry)
        self._on_gpu = Gauge(f"{prefix}_on_gpu", "1 when a GPU computes, else 0.", registry=registry)
        memory = Gauge(f"{prefix}_memory_bytes", "Memory of the container's cgroup.", ["kind"], registry=registry)
        memory.labels("used").set_function(lambda: float(memory_used() or 0))
        memory.labels("limit").set_function(lambda: float(memory_limit() or 0))

    def describe(self, facts: dict[str, str], *, on_gpu: bool) -> None:
        """Set the build information."""
        self._info.info(facts)
        self._on_gpu.set(float(on_gpu))

    def watch(self, progress: Callable[[], Progress], cache_tokens: int, constrained_places: int) -> None:
        """Serve the gauges that are read off the engine at each scrape.

        `cache_tokens` is what the KV cache holds, `constrained_places` how many answers may keep to a form at the same time.
        """
        self._progress = progress
        running = Gauge("slicewise_worker_requests_running", "Sequences that hold a slot.", registry=self.registry)
        waiting = Gauge("slicewise_worker_requests_waiting", "Sequences that wait for a slot.", registry=self.registry)
        cache = Gauge(
            "slicewise_worker_kv_cache_usage_ratio",
            "Part of the KV cache that running sequences use.",
            registry=self.registry,
        )
        kept = Gauge(
            "slicewise_worker_kv_cache_kept_tokens",
            "Tokens of sequences that ended, which stay in the KV cache until their room is needed.",
            registry=self.registry,
        )
        constrained = Gauge(
            "slicewise_worker_constrained_places_used",
            "Sequences that keep to a schema or grammar and run, or are next.",
            registry=self.registry,
        )
        places = Gauge(
            "slicewise_worker_constrained_places",
            "Sequences that may keep to a schema or grammar at the same time, by the memory that there is.",
            registry=self.registry,
        )
        running.set_function(lambda: progress().running)
        waiting.set_function(lambda: progress().waiting)
        constrained.set_function(lambda: progress().constrained)
        places.set(constrained_places)
        kept.set_function(lambda: progress().kept_tokens)
        cache.set_function(lambda: progress().cached_tokens / cache_tokens)

    def watch_health(
        self, fit: Callable[[], bool], container: Callable[[], Memory | None], device: Callable[[], Memory | None]
    ) -> None:
        """Serve what the watchdog sees: whether it calls the worker ready, and both memories, None where they cannot be read."""
        prefix = "slicewise_worker"
        gauge = Gauge(
            f"{prefix}_fit", "0 while the watchdog calls the worker not ready, else 1.", registry=self.registry
        )
        gauge.set_function(lambda: float(fit()))
        pressure = Gauge(
            f"{prefix}_memory_pressure_ratio",
            "Part of the memory beyond what is planned that is taken, of container and device; 0 where it cannot be read.",
            ["memory"],
            registry=self.registry,
        )
        pressure.labels("container").set_function(lambda: found.ratio if (found := container()) else 0.0)
        pressure.labels("device").set_function(lambda: found.ratio if (found := device()) else 0.0)
        slice_bytes = Gauge(
            f"{prefix}_device_memory_bytes",
            "Memory of the GPU slice, as NVML has it; 0 where it cannot be read.",
            ["kind"],
            registry=self.registry,
        )
        slice_bytes.labels("used").set_function(lambda: float(found.used) if (found := device()) else 0.0)
        slice_bytes.labels("total").set_function(lambda: float(found.total) if (found := device()) else 0.0)
        answers = Gauge(
            f"{prefix}_device_answers",
            "1 while the GPU slice answers through NVML; 0 where there is no GPU or no NVML, too.",
            registry=self.registry,
        )
        answers.set_function(lambda: float(device() is not None))

    def load(self) -> dict[str, int] | None:
        """Return the sequences that run and wait, and those that were answered since the start; None before the engine is there."""
        if self._progress is None:
            return None
        now = self._progress()
        return {"running": now.running, "waiting": now.waiting, "ended": self._answered}

    def rejected(self, code: str) -> None:
        """Count a refused request."""
        self._rejected.labels(code).inc()

    def stepped(self, step: Step) -> None:
        """Count a step of the engine."""
        self._step_seconds.observe(step.seconds)
        self._batch.observe(step.batch_tokens)
        self._prompt.inc(step.prompt_tokens)
        self._generated.inc(step.generated_tokens)
        if step.chunk is not None:
            self._chunk.set(step.chunk)
        if step.gap is not None:
            self._gap.observe(step.gap)

    def begun(self, tenant: Owner, seconds: float, prompt_tokens: int) -> None:
        """Count what a request of `tenant` waited and has as its prompt."""
        name = self._tenants.of(tenant)
        self._queue_of.labels(name).observe(seconds)
        self._tokens_of.labels(name, "prompt").inc(prompt_tokens)

    def reused(self, tenant: Owner, tokens: int) -> None:
        """Count tokens of prompts of `tenant` that were in the cache."""
        self._reused.inc(tokens)
        self._tokens_of.labels(self._tenants.of(tenant), "cached").inc(tokens)

    def generated(self, tenant: Owner, tokens: int) -> None:
        """Count tokens that `tenant` got."""
        self._tokens_of.labels(self._tenants.of(tenant), "generated").inc(tokens)

    def first_token(self, seconds: float) -> None:
        """Observe a time to first token."""
        self._first_token.observe(seconds)

    def ended(self, outcome: str, seconds: float, token_seconds: float | None) -> None:
        """Count the end of a sequence."""
        self._requests.labels(outcome).inc()
        if outcome not in {"stop", "length"}:
            return  # how long a client waited before it left is not a latency of ours
        self._answered += 1
        self._request_seconds.observe(seconds)
        if token_seconds is not None:
            self._per_token.observe(token_seconds)
