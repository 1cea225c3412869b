"""The gateway of one pool as a value: what is to be routed where, and within which bounds. Units in the names."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from slicewise.api.ports import GATEWAY_JOBS_PORT, JOBS_PORT, STATS_PORT

TENANT_HEADER: Final = "x-slicewise-tenant"
"""Request header to workers with the tenant's name. Set by the gateway alone."""
WEIGHT_HEADER: Final = "x-slicewise-weight"
"""Request header to workers with what the tenant counts for, if that is not 1. Set by the gateway alone."""
PRIORITY_HEADER: Final = "x-slicewise-priority"
"""Request header to workers by which a client, or the gateway for a tenant, puts a request behind others. None puts one before others."""
AFFINITY_HEADER: Final = "x-slicewise-affinity"
"""Request header with the number that a conversation's worker is found by. Set by the gateway alone."""
REVISION_HEADER: Final = "x-slicewise-revision"
"""Response header with the revision that the request was routed to."""
SERVED_BY_HEADER: Final = "x-slicewise-served-by"
"""Response header of what answers in place of the revision, such as `cpu-fallback`; absent where the revision does."""
HELD_HEADER: Final = "x-slicewise-held"
"""Response header with the seconds that the edge held a request because its revision had no worker."""
CACHE_HEADER: Final = "x-slicewise-cache"
"""Request header with a client's wish about the response cache, response header with what came of it."""
TIMEOUT_HEADER: Final = "x-slicewise-timeout-ms"
"""Request header to workers with the milliseconds that they have for the answer. Set by the gateway alone."""
NOT_STARTED_HEADER: Final = "x-slicewise-not-started"
"""Response header by which a worker says that it has done nothing for a request: another one may be asked."""
WORKER_HEALTHY_HEADER: Final = "x-slicewise-worker-healthy"
"""Response header by which a worker says that its error is about the request, such as a time-out: it stays in."""
JOB_HEADER: Final = "x-slicewise-job"
"""Request header of what a dispatcher of jobs sent, for the edge and for the times of such requests. Set by the gateway alone."""
BACKGROUND_HEADER: Final = "x-slicewise-background"
"""Request header of a response that runs in the background. Set by the gateway alone, and read by its own routes."""
BROKEN_TRAILER: Final = "x-slicewise-broken"
"""Trailer by which a worker says that an answer broke after its status was sent."""

MAX_BODY_BYTES: Final = 16 << 20
"""The CRD's bound of `maxBodyBytes`."""
MAX_REQUEST_SECONDS: Final = 3600
"""The CRD's bound of `requestTimeout`."""
MOST_WEIGHT: Final = 100
"""The CRD's bound of a tenant's `weight`."""
MAX_CONNECTIONS: Final = 10_000
"""Of clients, for an Envoy with enough memory."""
_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def _shorter(seconds: float) -> float:
    return seconds - max(0.5, seconds * 0.05) if seconds > 1 else seconds * 0.5


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{what}: {name!r} is not a DNS label")


@dataclass(frozen=True, slots=True)
class Backend:
    """The endpoints of one Service, taken in the order of `priority`: the next one only while no lower one is healthy."""

    service: str
    """Name of a Service; its EndpointSlices are followed."""
    port: str = "http"
    """Name of the Service's port."""
    priority: int = 0
    served_by: str = ""
    """What answers and logs name in place of the revision; empty: the revision serves."""

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a Service's."""
        _check_name("service", self.service)
        _check_name("port", self.port)
        if self.served_by:
            _check_name("served_by", self.served_by)


@dataclass(frozen=True, slots=True)
class EdgeEndpoint:
    """Where the edge listens in the gateway's own pod: it takes the requests that no worker can."""

    address: str = "127.0.0.1"
    port: int = 8081


@dataclass(frozen=True, slots=True)
class ResponseCache:
    """The edge keeps answers: it then takes the requests for them first, on a port of its own."""

    ttl_seconds: float = 60
    port: int = 8082


@dataclass(frozen=True, slots=True)
class RevisionRoute:
    """A revision and its weight among them."""

    revision: str
    weight: int
    """Relative to the sum of all; the sum need not be 100."""
    backends: tuple[Backend, ...]
    answers: str = ""
    """A digest of all that its answers depend on besides the request: model, template, engine. Read by the response cache."""

    def __post_init__(self) -> None:
        """Refuse a revision that cannot be a part of a name, and a negative weight."""
        _check_name("revision", self.revision)
        if not 0 <= self.weight <= 10_000:
            raise ValueError(f"weight of revision {self.revision}: {self.weight}; must be between 0 and 10000")


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """A Secret with one API key a tenant: the entry's name is the tenant's, its value the key."""

    secret: str

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a Secret's."""
        if not re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", self.secret):
            raise ValueError(f"not the name of a Secret: {self.secret!r}")


@dataclass(frozen=True, slots=True)
class TenantShare:
    """What a tenant counts for in the workers."""

    tenant: str
    weight: int = 1
    batch: bool = False
    """Whether all of its requests are behind those of others."""

    def __post_init__(self) -> None:
        """Refuse a name that no entry of a Secret can have, and a weight out of bounds."""
        if not re.fullmatch(r"[-._a-zA-Z0-9]{1,253}", self.tenant):
            raise ValueError(f"not the name of an entry in a Secret: {self.tenant!r}")
        if not 1 <= self.weight <= MOST_WEIGHT:
            raise ValueError(f"weight of tenant {self.tenant}: {self.weight}; must be between 1 and {MOST_WEIGHT}")


@dataclass(frozen=True, slots=True)
class Ports:
    """Where Envoy listens in the gateway's pod."""

    http: int = 8080
    stats: int = STATS_PORT
    """`/stats/prometheus`, for the operator and for Prometheus."""
    admin: int = 9901
    """On the loopback address only: whoever reaches it may end Envoy."""
    internal: int = 8083
    """On the loopback address only: what the edge sends on to the workers, with the tenant that was found before."""
    jobs: int = GATEWAY_JOBS_PORT
    """What dispatchers of jobs send; opened where the pool takes jobs. It believes the tenant's header."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """The chain client > gateway > worker, in seconds: who is nearer to the work gives up first, and can say why."""

    gateway: float
    worker: float

    @classmethod
    def of(cls, request_timeout: float) -> Timeouts:
        """Return the chain below a pool's `requestTimeout`: the worker has 5 % less, at least half a second."""
        return cls(request_timeout, _shorter(request_timeout))


@dataclass(frozen=True, slots=True)
class Jobs:
    """The pool takes jobs: where their API is, and how long a request that runs one may take."""

    host: str
    """A name with one address for each pod that accepts jobs."""
    timeouts: Timeouts
    port: int = JOBS_PORT

    def __post_init__(self) -> None:
        """Refuse a name that cannot be a host's."""
        if not re.fullmatch(r"[a-z0-9]([-.a-z0-9]{0,251}[a-z0-9])?", self.host):
            raise ValueError(f"not the name of a host: {self.host!r}")

    @classmethod
    def of(cls, host: str, attempt_seconds: float, port: int = JOBS_PORT) -> Jobs:
        """Return jobs of which a dispatcher waits so long for an attempt: the gateway gives up before it, the worker before that."""
        return cls(host, Timeouts.of(_shorter(attempt_seconds)), port)


@dataclass(frozen=True, slots=True)
class Cors:
    """Which pages of other origins may ask, in browsers. Never with credentials: a key is sent by the page's own script."""

    origins: tuple[str, ...]
    """Exact ones, such as `https://app.example.com`; `*`: any."""
    headers: tuple[str, ...] = ("*",)
    """Request headers that a page may set; `*`: any."""
    max_age_seconds: float = 600
    """How long a browser may remember the answer."""


@dataclass(frozen=True, slots=True)
class GatewayModel:
    """Everything that the configuration of one gateway pod depends on."""

    pool: str
    routes: tuple[RevisionRoute, ...]
    """The first one is stable: it takes all requests until the weights are read."""
    edge: EdgeEndpoint | None = None
    cache: ResponseCache | None = None
    """None: no request passes the edge while a worker is there."""
    timeouts: Timeouts = field(default_factory=lambda: Timeouts.of(90))
    max_body_bytes: int = 1 << 20
    requests_per_minute: int | None = None
    """Per tenant, over all gateway pods."""
    replicas: int = 1
    """Gateway pods, which share `requests_per_minute`."""
    tenant_keys: TenantKeys | None = None
    shares: tuple[TenantShare, ...] = ()
    """Of tenants that the pool names; all others have weight 1."""
    affinity: bool = False
    """Whether the requests of a conversation go to one worker; else each goes to the worker that has least to do."""
    jobs: Jobs | None = None
    """None: the pool takes no jobs, and has no path for them."""
    cors: Cors | None = None
    """None: browsers let no page of another origin read an answer."""
    p95_seconds: float | None = None
    """One more bucket boundary in the latency histograms: the limit that rollouts are judged by."""
    otlp: tuple[str, int] | None = None
    """Host and port of an OpenTelemetry collector (OTLP over gRPC). None: no traces."""
    fallback: bool = False
    """Whether a backend of some route answers in place of its revision now and then: it is then counted apart. A change makes a new
    listener, so it says what the pool has, and not what stands behind which revision at the moment."""
    max_connections: int = MAX_CONNECTIONS
    concurrency: int = 1
    """Envoy's threads; each has connections of its own to the workers."""
    heap_bytes: int = 512 << 20
    """Memory for Envoy; `overload.py` says what it does when this runs short."""
    ports: Ports = Ports()
    directory: str = "/run/slicewise/envoy"
    """Where Envoy finds its files, and the agent writes them."""

    def __post_init__(self) -> None:
        """Refuse what Envoy could not act on."""
        _check_name("pool", self.pool)
        revisions = [route.revision for route in self.routes]
        if not revisions or len(set(revisions)) != len(revisions):
            raise ValueError(f"routes must name each revision once, and at least one: {revisions}")
        if sum(route.weight for route in self.routes) <= 0:
            raise ValueError("the weights of all revisions are 0: at least one must take requests")
        if self.cache is not None and self.edge is None:
            raise ValueError("the response cache is a part of the edge, and this gateway has no edge")


def cluster_name(revision: str) -> str:
    """Return the name of the Envoy cluster of a revision. It stays when the canary becomes stable, and so do its counters."""
    return f"rev-{revision}"


EDGE_CLUSTER: Final = "edge"
"""Envoy's cluster with the edge's response cache."""


JOBS_CLUSTER: Final = "jobs"
"""Envoy's cluster with the API of jobs."""


def revision_of(cluster: str) -> str | None:
    """Return the revision of an Envoy cluster, None for a cluster that has none."""
    return cluster.removeprefix("rev-") if cluster.startswith("rev-") else None
