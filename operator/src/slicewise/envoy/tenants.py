"""Who asks, and how much: API keys by ECDS, the tenant's name for the workers, a rate limit for each tenant."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import EXTENSION, TYPE, Json, from_file, response, typed
from slicewise.envoy.model import TENANT_HEADER, GatewayModel

KEYS_FILTER: Final = "tenant-keys"
KEYS_FILE: Final = "ecds-keys.json"
_API_KEY_AUTH: Final = "envoy.extensions.filters.http.api_key_auth.v3.ApiKeyAuth"
_MAX_TENANTS: Final = 10_000
"""Buckets held at a time; the least recently used one is dropped."""


def build_keys(model: GatewayModel) -> Json | None:
    """Return the ECDS file without any key, which refuses every request; the agent puts the Secret's keys into `credentials`.

    None where the pool asks for no key. No key ever passes the operator.
    """
    if model.tenant_keys is None:
        return None
    return response(EXTENSION, [{"name": KEYS_FILTER, **_keys_filter()}])


def tenant_filters(model: GatewayModel) -> list[Json]:
    """Return the HTTP filters that find the tenant and limit it, in their order."""
    filters: list[Json] = []
    if model.tenant_keys is not None:
        filters.append(
            {
                "name": KEYS_FILTER,
                "config_discovery": {
                    "config_source": from_file(model.directory, KEYS_FILE),
                    "type_urls": [f"{TYPE}/{_API_KEY_AUTH}"],
                    # With a file that cannot be read, every request is refused.
                    "default_config": _keys_filter()["typed_config"],
                },
            }
        )
    if model.requests_per_minute is not None:
        filters.append(
            _rate_limit(model.requests_per_minute, model.replicas, with_tenants=model.tenant_keys is not None)
        )
    return filters


def _keys_filter() -> Json:
    return {
        "typed_config": {
            "@type": f"{TYPE}/{_API_KEY_AUTH}",
            "credentials": [],
            "key_sources": [{"header": "Authorization"}, {"header": "x-api-key"}],
            "forwarding": {"header": TENANT_HEADER, "hide_credentials": True},
        }
    }


def _rate_limit(per_minute: int, replicas: int, *, with_tenants: bool) -> Json:
    share = max(1, -(-per_minute // replicas))
    bucket = {"max_tokens": share, "tokens_per_fill": share, "fill_interval": "60s"}
    everything = {"filter_enabled": _always(), "filter_enforced": _always()}
    kind = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
    name = "envoy.filters.http.local_ratelimit"
    if not with_tenants:
        # Without keys there is one tenant: everybody.
        return typed(name, kind, stat_prefix="tenant", token_bucket=bucket, **everything)
    return typed(
        name,
        kind,
        stat_prefix="tenant",
        # The bucket of requests without a tenant, of which there are none behind the key filter.
        token_bucket={"max_tokens": 4_000_000_000, "tokens_per_fill": 4_000_000_000, "fill_interval": "60s"},
        max_dynamic_descriptors=_MAX_TENANTS,
        # An entry without a value stands for each value: every tenant has a bucket of its own.
        descriptors=[{"entries": [{"key": "tenant"}], "token_bucket": bucket}],
        rate_limits=[{"actions": [{"request_headers": {"header_name": TENANT_HEADER, "descriptor_key": "tenant"}}]}],
        **everything,
    )


def _always() -> Json:
    return {"default_value": {"numerator": 100, "denominator": "HUNDRED"}, "runtime_key": "slicewise.unused.rate_limit"}
