"""What is removed from a full queue for a new request. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from slicewise_worker.engine.callers import Tenant, is_batch, peers

T = TypeVar("T")


def to_remove(
    waiting: Mapping[Tenant, Iterable[T]], tenant: Tenant, more: int, needed: int, size: Callable[[T], int]
) -> list[T]:
    """Return whose going frees `needed` for `more` of `tenant`: batch first, then the newest of those of whom most waits.

    `size` says what an entry holds of what is short; one that holds nothing stays. `waiting` holds those of each tenant in their
    order. For a batch request only batch is removed. Where nothing frees enough, none is removed.
    """
    going: list[T] = []
    if not is_batch(tenant):
        behind = {other: entries for other, entries in waiting.items() if is_batch(other)}
        going = _newest(behind, needed, size, lambda _left: True)
        needed -= sum(map(size, going))
    if needed <= 0:
        return going
    alike = {other: waiting[other] for other in peers(tenant, waiting)}
    own = sum(map(size, alike.pop(tenant, ()))) + more
    # None is removed where its tenant would then have less than `tenant`.
    found = _newest(alike, needed, size, lambda left: left >= own)
    return going + found if needed <= sum(map(size, found)) else []


def _newest(
    waiting: Mapping[Tenant, Iterable[T]], needed: int, size: Callable[[T], int], may: Callable[[int], bool]
) -> list[T]:
    """Return the newest of the tenant that holds most, again and again until `needed` is free; `may` gets what is left of that tenant."""
    left = {tenant: [*entries] for tenant, entries in waiting.items()}
    held = {tenant: sum(map(size, entries)) for tenant, entries in left.items()}
    going: list[T] = []
    while needed > 0 and any(held.values()):
        tenant = max(held, key=held.__getitem__)
        entry = left[tenant].pop()
        held[tenant] -= size(entry)
        if not may(held[tenant]):
            break
        going += [entry] if size(entry) else []
        needed -= size(entry)
    return going
