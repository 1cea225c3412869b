"""`spec.gateway`: the gateway in front of the workers."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from slicewise.api.v1alpha1.base import ApiModel, LocalObjectReference
from slicewise.api.v1alpha1.placement import PodPlacement
from slicewise.api.v1alpha1.scalars import BodySize, HeaderName, Minutes, Origin, Seconds, WholeNumber

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


class GatewaySpec(PodPlacement):
    """The gateway in front of the workers: every pool has one, also without this field. What it says of pods (`resources` are Envoy's)
    goes over the installation's `gateway` values; a change of that replaces the pods one by one."""

    replicas: Annotated[WholeNumber, Field(ge=1, le=20)] = 1
    """Gateway pods. An idle one takes about 60 MiB, and 65 MiB of code that those on a node share. When the node of the only
    one is lost, another serves after a minute or two. Two or more are spread over zones and nodes; a drain takes one at a
    time."""
    tenant_keys_secret_ref: LocalObjectReference | None = None
    """Secret with an entry a tenant: its name is the tenant's, its value the API keys, one a line. Default: no key is asked for."""
    limits: GatewayLimits | None = None
    response_cache: ResponseCache | None = None
    cors: Cors | None = None
