"""Rules on `spec.gateway.cors`: what is taken, what is refused, in which words."""

from __future__ import annotations

from dataclasses import replace

from pool_cases import Case, _duration, _value

_HEADER = "is not a header's name: write one such as x-request-id, or * for any"
_PAGES = {"cors": {"allowOrigins": ["*"]}}

CORS_CASES = (
    Case(
        "gateway.cors.allowOrigins",
        {"gateway": {"cors": {"allowOrigins": ["https://app.example.com:8443"], "allowHeaders": ["x-request-id"]}}},
        {"gateway": {"cors": {"allowOrigins": ["https://app.example.com/"]}}},
        "spec.gateway.cors.allowOrigins[0]",
        "'https://app.example.com/' is not an origin: write scheme://host or scheme://host:port without a path, such as "
        "https://app.example.com, or * for any",
    ),
    replace(
        _value("gateway.cors.allowHeaders", ["*"], ["x y"], f"'x y' {_HEADER}", **_PAGES),
        field="spec.gateway.cors.allowHeaders[0]",
    ),
    _duration("gateway.cors.maxAge", "1s", "24h", "15m", "0.5s", **_PAGES),
)
