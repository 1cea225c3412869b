"""Names of tenants as metrics and logs have them: bounded in length and characters, in metrics in number, too. Pure."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from slicewise_worker.engine.callers import Owner

MOST_NAMES: Final = 50
"""Tenants that have time series of their own, the first that ask in the life of a worker."""
OTHER: Final = "other"
"""All tenants after these."""

_LONGEST: Final = 64
_DIGITS: Final = 8
_UNFIT: Final = re.compile(r"[^-._a-zA-Z0-9]")
"""Not in the name of an entry in a Secret, so not in the name of a tenant that the gateway knows."""


class TenantNames:
    """Gives each tenant the value of its label."""

    def __init__(self) -> None:
        self._names: dict[Owner, str] = {}

    def of(self, tenant: Owner) -> str:
        """Return the label of `tenant`: empty for requests without a tenant, and `OTHER` once there are as many names as may be."""
        found = self._names.get(tenant)
        if found is None:
            if len(self._names) >= MOST_NAMES:
                return OTHER
            found = self._names[tenant] = name_of(tenant)
        return found


def name_of(tenant: Owner) -> str:
    """Return the name of `tenant` within the bounds; empty for requests without one."""
    name = tenant or ""
    clean = _UNFIT.sub("_", name)
    if clean == name and len(name) <= _LONGEST:
        return name
    # Two names that differ must not become one.
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
    return f"{clean[: _LONGEST - _DIGITS - 1]}-{digest}"
