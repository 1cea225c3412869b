"""Rules on `spec.gateway.tenants`: what is taken, what is refused, in which words."""

from __future__ import annotations

from pool_cases import Case

_KEYS = {"tenantKeysSecretRef": {"name": "keys"}}

TENANT_CASES = (
    Case(
        "gateway.tenants.name",
        {"gateway": {**_KEYS, "tenants": [{"name": "team_A.b-1", "weight": 100}]}},
        {"gateway": {**_KEYS, "tenants": [{"name": 'a"b', "weight": 2}]}},
        "spec.gateway.tenants[0].name",
        "'a\"b' is not the name of an entry in a Secret: write letters, digits, '-', '_' and '.', such as team-a",
    ),
    Case(
        "gateway.tenants without keys",
        {"gateway": {**_KEYS, "tenants": [{"name": "acme", "weight": 4}]}},
        {"gateway": {"tenants": [{"name": "acme", "weight": 4}]}},
        "spec.gateway.tenants",
        "tenant 'acme' is known by its keys, and the pool asks for none: write tenantKeysSecretRef, or leave tenants out",
    ),
)
