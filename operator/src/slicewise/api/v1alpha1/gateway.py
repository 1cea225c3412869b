"""`spec.gateway`: the gateway in front of the workers."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import Field

from slicewise.api.rules import Rule
from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference, map_by, once
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.scalars import BodySize, EntryName, HeaderName, Minutes, Origin, Seconds, WholeNumber

MOST_WEIGHT: Final = 100
MOST_SHARES: Final = 200
_LIST: Final[Any] = Field(min_length=1, max_length=50, json_schema_extra={"x-kubernetes-list-type": "atomic"})


class GatewayLimits(ApiModel):
    """What one request and one tenant may take."""

    max_body_bytes: BodySize = "1Mi"
    """Largest request body, as a quantity."""
    request_timeout: Seconds = "90s"
    """Longest time for one request, as a duration."""
    per_tenant_requests_per_minute: Annotated[WholeNumber, Field(ge=1, le=1_000_000)] | None = None
    """Requests per minute and tenant. Default: no limit."""


class ResponseCache(ApiModel):
    """Stored answers to deterministic requests (temperature 0, or by request header)."""

    ttl: Minutes = "60s"
    """How long an answer is kept, as a duration."""
    redis_secret_ref: LocalObjectReference
    """Secret with the address of the Redis server under the key `url`: `redis://`, or `rediss://` for TLS. Without it all is served
    and nothing is kept."""


class Cors(ApiModel):
    """Pages of other origins that may ask in browsers. Without credentials: the page's own script sends the API key."""

    allow_origins: Annotated[tuple[Origin, ...], _LIST]
    """Origins as browsers send them, such as `https://app.example.com`, each exactly; or `*` for any."""
    allow_headers: Annotated[tuple[HeaderName, ...], _LIST] = ("*",)
    """Request headers that a page may set; `*` for any, and for `authorization`."""
    max_age: Minutes = "10m"
    """How long a browser may remember the answer to a preflight request, as a duration."""


class Routing(StrEnum):
    """Which worker a request goes to."""

    LEAST_REQUESTS = "LeastRequests"
    CONVERSATION = "Conversation"


class TenantPriority(StrEnum):
    """Whose requests go first."""

    INTERACTIVE = "Interactive"
    BATCH = "Batch"


class TenantShare(ApiModel):
    """What a tenant counts for beside others."""

    name: EntryName
    """The tenant: the name of its entry in the Secret."""
    weight: Annotated[WholeNumber, Field(ge=1, le=MOST_WEIGHT)] = 1
    """What it counts for in the workers' queues. While both ask for more than there is, a tenant of weight 4 gets four times
    the tokens of one of weight 1, which every tenant has that is not in the list."""
    priority: TenantPriority = TenantPriority.INTERACTIVE
    """`Batch`: all its requests are behind those of others, as if it sent the header `x-slicewise-priority: batch`."""


class GatewaySpec(PodPlacement):
    """The gateway in front of the workers: every pool has one, also without this field. What it says of pods (`resources` are Envoy's)
    goes over the installation's `gateway` values; a change of that replaces the pods one by one."""

    replicas: Annotated[WholeNumber, Field(ge=1, le=20)] = 1
    """Gateway pods. An idle one takes about 60 MiB, and 65 MiB of code that those on a node share. When the node of the only
    one is lost, another serves after a minute or two. Two or more are spread over zones and nodes; a drain takes one at a
    time."""
    tenant_keys_secret_ref: LocalObjectReference | None = None
    """Secret with an entry a tenant: its name is the tenant's, its value the API keys, one a line. Default: no key is asked for."""
    tenants: (
        Annotated[
            tuple[TenantShare, ...], Field(max_length=MOST_SHARES, json_schema_extra=map_by("name")), once("name")
        ]
        | None
    ) = None
    """Tenants that count for more or less than others."""
    routing: Routing = Routing.LEAST_REQUESTS
    """`LeastRequests`: each request goes to the worker that has least to do. `Conversation`: the turns of a conversation go to the worker
    that has the earlier ones in its cache, while that has no more than five quarters of the mean to do. A change closes
    connections, after their requests."""
    limits: GatewayLimits | None = None
    response_cache: ResponseCache | None = None
    cors: Cors | None = None

    rules = (
        Rule(
            cel="!has(self.tenants) || self.tenants.size() == 0 || has(self.tenantKeysSecretRef)",
            holds=lambda spec: not spec.tenants or spec.tenant_keys_secret_ref is not None,
            message="tenant '{name}' is known by its keys, and the pool asks for none: write tenantKeysSecretRef, or leave tenants out",
            expects="tenantKeysSecretRef where there are tenants",
            values={"name": ("self.tenants[0].name", lambda spec: spec.tenants[0].name)},
            field="tenants",
        ),
    )
