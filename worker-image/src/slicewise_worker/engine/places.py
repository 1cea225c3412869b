"""Who may begin an answer that keeps to a form, where memory has room for some at once only. Pure.

A constrained request waits for a place, then for a slot as any other. While it has no place, later ones of its tenant that need
none pass it, so that it holds up nothing and no free slot is kept for it. It asks for a place when none of its tenant is before it:
one behind a long queue of its own would keep a place from others. Places go to the tenant whose constrained answers were given least:
by what a tenant was given in all, one that asks for much else would never get one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol, TypeVar

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.full_queue import to_remove
from slicewise_worker.engine.tenants import FairQueue, Ranks, Waits


class WantsPlace(Waits, Protocol):
    """What waits for a slot, and for a place if it is `constrained`."""

    @property
    def constrained(self) -> bool:
        """Whether it needs a place."""

    @property
    def submitted(self) -> float:
        """When it came."""


T = TypeVar("T", bound=WantsPlace)


class PlacedQueue(FairQueue[T]):
    """Requests that wait for a slot, of which at most `places` constrained ones run or are next."""

    def __init__(self, places: int) -> None:
        """Take the number of places, at least 1."""
        super().__init__()
        self._places = places
        self._holders: set[T] = set()
        """Who has a place: it waits for a slot, runs, or is paused."""
        self._claims: dict[Tenant, T] = {}
        """Who asks for one: the first of its tenant."""
        self._later: dict[Tenant, deque[T]] = {}
        """Constrained ones behind others of their tenant."""
        self._ranks_of_places = Ranks()

    def __len__(self) -> int:
        return super().__len__() + len(self._claims) + sum(map(len, self._later.values()))

    def __iter__(self) -> Iterator[T]:
        return chain(super().__iter__(), self._without())

    def _without(self) -> Iterator[T]:
        """Return those without a place, of each tenant in their order."""
        return chain(self._claims.values(), chain.from_iterable(self._later.values()))

    @property
    def places_used(self) -> int:
        """How many places are given away."""
        return len(self._holders)

    def weigh(self, tenant: Tenant, weight: int) -> None:
        """Note what `tenant` counts for from now on, for slots and for places."""
        super().weigh(tenant, weight)
        self._ranks_of_places.weigh(tenant, weight)

    def push(self, entry: T) -> None:
        """Let `entry` wait."""
        if not entry.constrained:
            super().push(entry)
            return
        self._later.setdefault(entry.tenant, deque()).append(entry)
        self._claim(entry.tenant, again=False)
        self._deal()

    def pop_of(self, tenant: Tenant) -> T:
        """Return the oldest request of `tenant` that may begin; there is one."""
        entry = super().pop_of(tenant)
        # Who asks for one place after the other has not stopped asking, and is not raised to the others.
        self._claim(tenant, again=entry.constrained)
        self._deal()
        return entry

    def leave(self, entry: T) -> None:
        """Note that `entry` has ended, which frees its place."""
        self._holders.discard(entry)
        self._deal()

    def charge_place(self, tenant: Tenant, cost: int) -> None:
        """Note what a constrained answer of `tenant` was given."""
        self._ranks_of_places.charge(tenant, cost)

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Let go of all that are not `wanted`, and of their places."""
        gone = {entry for entry in self if not wanted(entry)}
        super().keep(lambda entry: entry not in gone)
        self._holders -= gone
        self._claims = {tenant: entry for tenant, entry in self._claims.items() if entry not in gone}
        for tenant, entries in [*self._later.items()]:
            self._set_later(tenant, deque(entry for entry in entries if entry not in gone))
            self._claim(tenant, again=True)
        self._deal()

    def to_remove(self, tenant: Tenant, more: int, needed: int, size: Callable[[T], int]) -> list[T]:
        """Return whose going frees `needed` for `more` of `tenant`, as of one queue."""
        waiting: dict[Tenant, list[T]] = {}
        for entry in sorted(self, key=lambda entry: entry.submitted):
            waiting.setdefault(entry.tenant, []).append(entry)
        return to_remove(waiting, tenant, more, needed, size)

    def _claim(self, tenant: Tenant, *, again: bool) -> None:
        """Let the next constrained one of `tenant` ask for a place, if no other of it is before it."""
        later, first = self._later.get(tenant), self.first_of(tenant)
        if not later or tenant in self._claims or (first is not None and first.submitted <= later[0].submitted):
            return
        if again:
            self._ranks_of_places.charge(tenant, 0)
        else:
            self._ranks_of_places.lift(tenant, self._claims)
            self._ranks_of_places.forget({*self._claims, *self._later})
        self._claims[tenant] = later.popleft()
        self._set_later(tenant, later)

    def _set_later(self, tenant: Tenant, entries: deque[T]) -> None:
        if entries:
            self._later[tenant] = entries
        else:
            del self._later[tenant]

    def _deal(self) -> None:
        while self._claims and len(self._holders) < self._places:
            tenant = self._ranks_of_places.least(self._claims)
            entry = self._claims.pop(tenant)
            self._ranks_of_places.began(tenant, self._claims)
            self._holders.add(entry)
            self.insert(entry, lambda other: other.submitted)
