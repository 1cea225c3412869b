"""In which order jobs are claimed: fair between tenants, oldest first within one.

Start-time fair queueing with jobs of equal cost: each job gets a rank when it is queued, and the lowest rank is claimed first. A
tenant's jobs have one rank after the other, and its first one gets the rank that is claimed next. So the one job of a tenant comes after
at most one of each other tenant, however many these have, and a claim reads the start of one index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

FIRST: Final = 1


def ranks(tenants: Iterable[str], last: Mapping[str, int | None], lowest: int | None) -> list[int]:
    """Return the ranks of new jobs of these tenants, in their order.

    `last`: tenant → the highest rank among its queued jobs, None or absent without any; `lowest`: the lowest rank that is queued, None
    where nothing is.
    """
    next_of: dict[str, int] = {}
    given = []
    for tenant in tenants:
        if tenant not in next_of:
            before = last.get(tenant)
            start = FIRST if lowest is None else lowest
            next_of[tenant] = start if before is None else max(start, before + 1)
        given.append(next_of[tenant])
        next_of[tenant] += 1
    return given
