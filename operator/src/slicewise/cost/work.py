"""Work: what workers did, as counts that can be subtracted and added. Pure.

A worker counts from its start. What it did between two looks is the difference; where a count went back, the worker has begun again, and
what it shows is what it did since. So no sum made of them ever goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Self

OTHER: Final = "other"
"""All tenants beyond those that have a name of their own."""
MOST_TENANTS: Final = 50
"""Tenants of a pool that have a name of their own in a period."""
GENERATED_WEIGHT: Final = 2.0
"""What a generated token counts beside one of a prompt: as workers charge tenants (virtual token counters, ADR 36)."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Counts of one tenant, or of all."""

    requests: float = 0.0
    """Sequences that were begun."""
    prompt: float = 0.0
    """Tokens of their prompts."""
    cached: float = 0.0
    """Of these, those that were in the KV cache and were not evaluated."""
    generated: float = 0.0
    spend: float = 0.0
    """Money for workers while they were busy, by the part of their work that was the tenant's. Workers do not count it."""

    @property
    def units(self) -> float:
        """Work for the GPU, in tokens: prompts as far as they were evaluated, answers at twice the cost."""
        return max(0.0, self.prompt - self.cached) + GENERATED_WEIGHT * self.generated

    @property
    def computed(self) -> float:
        """Tokens that were computed: prompts as far as they were evaluated, and answers."""
        return max(0.0, self.prompt - self.cached) + self.generated

    def __add__(self, other: Tokens) -> Tokens:
        return Tokens(
            self.requests + other.requests,
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.generated + other.generated,
            self.spend + other.spend,
        )

    def since(self, before: Tokens) -> Tokens:
        """Return what was counted since `before`, of one worker."""
        return Tokens(
            since(self.requests, before.requests),
            since(self.prompt, before.prompt),
            since(self.cached, before.cached),
            since(self.generated, before.generated),
        )


def since(now: float, before: float) -> float:
    """Return by how much a counter rose; all of it where it went back, as it began again then."""
    return now - before if now >= before else now


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """What one worker has counted since its start."""

    answered: float = 0.0
    """Sequences that were answered to their end."""
    busy_seconds: float = 0.0
    """In which a step of the engine ran."""
    tenants: Mapping[str, Tokens] = field(default_factory=dict)
    """Name, as the worker bounds it → counts; empty for requests without a tenant."""
    memory_bytes: float | None = None
    """Memory of the slice that is in use; None where the worker does not know. No counter."""

    def since(self, before: WorkerCounts) -> Work:
        """Return what was done since `before`."""
        none = Tokens()
        tenants = {name: found.since(before.tenants.get(name, none)) for name, found in self.tenants.items()}
        return Work(
            since(self.answered, before.answered), {name: found for name, found in tenants.items() if found != none}
        )


@dataclass(frozen=True, slots=True)
class Work:
    """What workers did in some time."""

    answered: float = 0.0
    """Sequences that were answered to their end."""
    tenants: Mapping[str, Tokens] = field(default_factory=dict)

    @property
    def computed(self) -> float:
        """Tokens that were computed for all tenants."""
        return sum(one.computed for one in self.tenants.values())

    @property
    def tokens(self) -> Tokens:
        """Of all tenants."""
        return sum(self.tenants.values(), Tokens())

    def paid_with(self, money: float) -> Work:
        """Return the same work with `money` for it, which each tenant has a part of by its units."""
        units = sum(one.units for one in self.tenants.values())
        if units <= 0:
            return self
        tenants = {
            name: Tokens(one.requests, one.prompt, one.cached, one.generated, money * one.units / units)
            for name, one in self.tenants.items()
        }
        return Work(self.answered, tenants)

    def __add__(self, other: Work) -> Self:
        names = dict(self.tenants)
        for name, found in other.tenants.items():
            key = name if name in names or len(names) < MOST_TENANTS else OTHER
            names[key] = names.get(key, Tokens()) + found
        return type(self)(self.answered + other.answered, names)
