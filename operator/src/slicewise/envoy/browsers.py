"""CORS: which pages of other origins may ask a pool, and read the answers, errors included. Pure."""

from __future__ import annotations

from typing import Final

from slicewise.envoy.discovery import TYPE, Json, typed
from slicewise.envoy.model import CACHE_HEADER, HELD_HEADER, REVISION_HEADER, SERVED_BY_HEADER, Cors

_FILTER: Final = "envoy.filters.http.cors"
_KIND: Final = "envoy.extensions.filters.http.cors.v3"
_READABLE: Final = ("retry-after", "x-request-id", REVISION_HEADER, SERVED_BY_HEADER, HELD_HEADER, CACHE_HEADER)


def cors_filter() -> Json:
    """Return the HTTP filter. It goes before the one that asks for a key, for a preflight request has none."""
    return typed(_FILTER, f"{_KIND}.Cors")


def cors_policy(cors: Cors | None, *, jobs: bool = False) -> Json:
    """Return the part of a virtual host; empty where no page of another origin is let in.

    `jobs`: whether there are paths that take DELETE.
    """
    if cors is None:
        return {}
    any_origin = {"safe_regex": {"regex": ".*"}}
    # A `*` does not stand for this one in browsers.
    headers = ("authorization", *cors.headers) if "*" in cors.headers else cors.headers
    policy = {
        "@type": f"{TYPE}/{_KIND}.CorsPolicy",
        "allow_origin_string_match": [any_origin if origin == "*" else {"exact": origin} for origin in cors.origins],
        "allow_methods": "GET, POST, DELETE, OPTIONS" if jobs else "GET, POST, OPTIONS",
        "allow_headers": ", ".join(headers),
        "expose_headers": ", ".join(_READABLE),
        "max_age": str(int(cors.max_age_seconds)),
        "allow_credentials": False,
        # One from elsewhere is answered as well, without the headers that would let its page go on.
        "forward_not_matching_preflights": False,
    }
    vary = {"header": {"key": "vary", "value": "origin"}, "append_action": "APPEND_IF_EXISTS_OR_ADD"}
    return {"typed_per_filter_config": {_FILTER: policy}, "response_headers_to_add": [vary]}
