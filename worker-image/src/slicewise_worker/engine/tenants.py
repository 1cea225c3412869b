"""Whose request is next: a virtual token counter for each tenant. Pure.

Who was given least for its weight is next (VTC: Sheng et al., "Fairness in Serving Large Language Models", OSDI 2024). A tenant that comes
back after a pause is raised to those who wait: a tenant does not save up service by not asking, and one that asks little is never behind.
Batch requests come after all others, with a share that lets them move on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from slicewise_worker.engine.callers import BATCH_SHARE, Tenant, is_batch, peers
from slicewise_worker.engine.full_queue import to_remove

PROMPT_COST: Final = 1
ANSWER_COST: Final = 2
"""What a token counts for: one of an answer takes a place in a step for itself, those of a prompt share one."""

_REMEMBERED: Final = 1024
"""Tenants whose counters are kept while they ask for nothing."""


class Service:
    """What each tenant was given, in costs of tokens divided by its weight."""

    def __init__(self) -> None:
        self._given: dict[Tenant, float] = {}
        self._weights: dict[Tenant, int] = {}
        """Of those who have another one than 1."""
        self._level = 0.0
        """What the tenant had that was served last: a tenant that comes again starts there."""

    def weigh(self, tenant: Tenant, weight: int) -> None:
        """Note what `tenant` counts for from now on; what it was given before stays as it is."""
        self._weights.pop(tenant, None)
        if weight != 1:
            self._weights[tenant] = weight
        if len(self._weights) > 4 * _REMEMBERED:
            # Some of tenants that were refused, and have no counter.
            self._weights = {one: w for one, w in self._weights.items() if one == tenant or one in self._given}

    def weight(self, tenant: Tenant) -> int:
        """Return what `tenant` counts for."""
        return self._weights.get(tenant, 1)

    def lift(self, tenant: Tenant, waiting: Iterable[Tenant]) -> None:
        """Note that `tenant`, of whom nothing waited, asks; `waiting` are the others of whom something waits."""
        others = [*waiting]
        level = min((self._given[other] for other in others), default=self._level)
        self._given[tenant] = self.raised(tenant, others)
        self._level = max(self._level, level)

    def given(self, tenant: Tenant) -> float:
        """Return what `tenant` was given for its weight, of whom something waits."""
        return self._given[tenant]

    def raised(self, tenant: Tenant, waiting: Iterable[Tenant]) -> float:
        """Return what `tenant`, of whom nothing waits, would have if it asked now beside `waiting`."""
        return max(self._given.get(tenant, 0), min((self._given[other] for other in waiting), default=self._level))

    def least(self, waiting: Iterable[Tenant]) -> Tenant:
        """Return who is next of `waiting`, the first of several that were given the same; there is one."""
        tenant = min(waiting, key=self._given.__getitem__)
        self._level = max(self._level, self._given[tenant])
        return tenant

    def charge(self, tenant: Tenant, cost: int) -> None:
        """Note what `tenant` was given."""
        self._given[tenant] = self._given.get(tenant, 0) + cost / self.weight(tenant)

    def forget(self, wanted: Collection[Tenant]) -> None:
        """Keep the counters of `wanted` and of some that were given most; the rest would start where they are, or close to it."""
        if len(self._given) <= _REMEMBERED + len(wanted):
            return
        others = sorted((tenant for tenant in self._given if tenant not in wanted), key=self._given.__getitem__)
        for tenant in others[: -_REMEMBERED // 2]:
            del self._given[tenant]
            self._weights.pop(tenant, None)


class Ranks:
    """Who is next of those who wait: one who is not batch, of these who was given least; and now and then one of batch."""

    def __init__(self) -> None:
        self._services = Service(), Service()
        """Of those who are not batch, and of batch."""
        self._passed = 0
        """Requests that began before the next one of batch, while one waited."""

    def _of(self, tenant: Tenant) -> Service:
        return self._services[is_batch(tenant)]

    def weigh(self, tenant: Tenant, weight: int) -> None:
        """Note what `tenant` counts for from now on; what it was given before stays as it is."""
        self._of(tenant).weigh(tenant, weight)

    def weight(self, tenant: Tenant) -> int:
        """Return what `tenant` counts for."""
        return self._of(tenant).weight(tenant)

    def lift(self, tenant: Tenant, waiting: Iterable[Tenant]) -> None:
        """Note that `tenant`, of whom nothing waited, asks; `waiting` are the others of whom something waits."""
        self._of(tenant).lift(tenant, peers(tenant, waiting))

    def given(self, tenant: Tenant) -> float:
        """Return what `tenant` was given for its weight, of whom something waits."""
        return self._of(tenant).given(tenant)

    def raised(self, tenant: Tenant, waiting: Iterable[Tenant]) -> float:
        """Return what `tenant`, of whom nothing waits, would have if it asked now beside `waiting`."""
        return self._of(tenant).raised(tenant, peers(tenant, waiting))

    def least(self, waiting: Iterable[Tenant], *, batch: bool = True) -> Tenant:
        """Return who is next of `waiting`, which is not empty. Without `batch` none of batch comes before another one."""
        tenants = [*waiting]
        behind = [tenant for tenant in tenants if is_batch(tenant)]
        others = [tenant for tenant in tenants if not is_batch(tenant)]
        turn = batch and self._passed >= BATCH_SHARE - 1
        if behind and (turn or not others):
            return self._services[True].least(behind)
        return self._services[False].least(others)

    def began(self, tenant: Tenant, waiting: Iterable[Tenant]) -> None:
        """Note that one of `tenant` began, and who waits now."""
        if is_batch(tenant):
            self._passed = 0
        elif any(map(is_batch, waiting)):
            self._passed += 1

    def charge(self, tenant: Tenant, cost: int) -> None:
        """Note what `tenant` was given."""
        self._of(tenant).charge(tenant, cost)

    def forget(self, wanted: Collection[Tenant]) -> None:
        """Keep the counters of `wanted`, and of some others."""
        for service in self._services:
            service.forget(wanted)


class Waits(Protocol):
    """What waits in a queue."""

    @property
    def tenant(self) -> Tenant:
        """Whose it is."""


T = TypeVar("T", bound=Waits)


class FairQueue(Generic[T]):
    """Requests that wait: of one tenant in their order, of several as each was served."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[Tenant, deque[T]] = OrderedDict()
        """By tenant, the newest last; a tenant is here as long as something of it waits."""
        self._ranks = Ranks()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[T]:
        for entries in self._waiting.values():
            yield from entries

    def weigh(self, tenant: Tenant, weight: int) -> None:
        """Note what `tenant` counts for from now on."""
        self._ranks.weigh(tenant, weight)

    def weight(self, tenant: Tenant) -> int:
        """Return what `tenant` counts for."""
        return self._ranks.weight(tenant)

    def push(self, entry: T) -> None:
        """Let `entry` wait."""
        self._of(entry.tenant).append(entry)
        self._length += 1

    def push_first(self, entry: T) -> None:
        """Let `entry`, which was taken out before, wait before all others of its tenant."""
        self._of(entry.tenant).appendleft(entry)
        self._length += 1

    def insert(self, entry: T, order: Callable[[T], float]) -> None:
        """Let `entry` wait before the first of its tenant that is later by `order`."""
        entries = self._of(entry.tenant)
        entries.insert(bisect_right(entries, order(entry), key=order), entry)
        self._length += 1

    @property
    def ready(self) -> bool:
        """Whether there is a next request."""
        return bool(self._waiting)

    def _of(self, tenant: Tenant) -> deque[T]:
        if tenant not in self._waiting:
            self._ranks.lift(tenant, self._waiting)
            self._ranks.forget(self._waiting)
            self._waiting[tenant] = deque()
        return self._waiting[tenant]

    def first_of(self, tenant: Tenant) -> T | None:
        """Return the oldest request of `tenant`, None where none of it waits."""
        entries = self._waiting.get(tenant)
        return entries[0] if entries else None

    def before(self, tenant: Tenant, cost: Callable[[T], float]) -> list[T]:
        """Return what would begin before a new request of `tenant`: all of its own, and of others what comes until they were given as much.

        Before one of batch that is also all that is not batch, and of batch it is nothing before another one.
        `cost` says what an entry will be given. Of two that were given the same, the new one counts as first.
        """
        own = self._waiting.get(tenant)
        counter = self._ranks.raised(tenant, self._waiting) if own is None else self._ranks.given(tenant)
        found = [] if own is None else [*own]
        reach = counter + sum(map(cost, found)) / self.weight(tenant)
        if is_batch(tenant):
            found += [entry for other, entries in self._waiting.items() if not is_batch(other) for entry in entries]
        for other in peers(tenant, self._waiting):
            entries, given = self._waiting[other], self._ranks.given(other)
            if other != tenant:
                for entry in entries:
                    if given >= reach:
                        break
                    found.append(entry)
                    given += cost(entry) / self.weight(other)
        return found

    def next_tenant(self, *, batch: bool = True) -> Tenant:
        """Return whose request is next; something waits. Without `batch`, batch has no turn while another one waits."""
        return self._ranks.least(self._waiting, batch=batch)

    def near(self, tenant: Tenant, lead: float) -> list[Tenant]:
        """Return the others of its kind who wait and were given at most `lead` more than `tenant`, who waits, for their weights."""
        others = (other for other in peers(tenant, self._waiting) if other != tenant)
        return [other for other in others if self._ranks.given(other) - self._ranks.given(tenant) <= lead]

    def passes(self, tenant: Tenant) -> bool:
        """Whether `tenant` is batch, and another one waits that is not."""
        return is_batch(tenant) and not all(map(is_batch, self._waiting))

    def pop(self) -> T:
        """Return the next request; something waits."""
        return self.pop_of(self.next_tenant())

    def pop_of(self, tenant: Tenant) -> T:
        """Return the oldest request of `tenant`, of whom something waits."""
        entry = self._waiting[tenant].popleft()
        self._length -= 1
        if not self._waiting[tenant]:
            del self._waiting[tenant]
        self._ranks.began(tenant, self._waiting)
        return entry

    def charge(self, tenant: Tenant, cost: int) -> None:
        """Note what `tenant` was given."""
        self._ranks.charge(tenant, cost)

    def keep(self, wanted: Callable[[T], bool]) -> None:
        """Let go of all that are not `wanted`."""
        kept = {tenant: deque(entry for entry in entries if wanted(entry)) for tenant, entries in self._waiting.items()}
        self._waiting = OrderedDict((tenant, entries) for tenant, entries in kept.items() if entries)
        self._length = sum(map(len, self._waiting.values()))

    def clear(self) -> None:
        """Let go of all."""
        self.keep(lambda _entry: False)

    def to_remove(self, tenant: Tenant, more: int, needed: int, size: Callable[[T], int]) -> list[T]:
        """Return whose going frees `needed` for `more` of `tenant`: see `full_queue.py`."""
        return to_remove(self._waiting, tenant, more, needed, size)
