"""Spend: money of one pool by what it was for, and the time that no money stands for. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Self

from slicewise.cost.work import Work


@dataclass(frozen=True, slots=True)
class Spend:
    """Sums over some time. Money is in the currency of the price list."""

    busy: float = 0.0
    """For the pool's own workers while a step of their engine ran."""
    idle: float = 0.0
    """For the pool's own workers that were ready while none ran."""
    starting: float = 0.0
    """For workers that held their slice and were not ready: before they served, and while they ended."""
    unread: float = 0.0
    """For ready workers that did not say what they did."""
    fallback: float = 0.0
    """For workers of the CPU fallback while a step of their engine ran."""
    fallback_idle: float = 0.0
    """For workers of the CPU fallback the rest of their time: before they served, while they ended, and while they had nothing to do."""
    assumed: float = 0.0
    """For time in which no look was taken, at the rate before it."""
    sleepable: float = 0.0
    """Of all this, what scaling to zero would have saved."""
    paid_requests: float = 0.0
    """Requests that workers with a known price answered."""
    paid_tokens: float = 0.0
    """Tokens that they computed: prompts as far as they were evaluated, and answers."""
    unpriced_seconds: float = 0.0
    """Seconds of workers whose price is not known; their money is in no sum."""
    uncounted_seconds: float = 0.0
    """Seconds in which no look was taken, and for which no rate was assumed either."""

    @property
    def total(self) -> float:
        """All money."""
        return self.metered + self.assumed

    @property
    def metered(self) -> float:
        """Money for the workers, whose work is counted: without what was assumed."""
        return self.busy + self.idle + self.starting + self.unread + self.fallback + self.fallback_idle

    def __add__(self, other: Spend) -> Self:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, slots=True)
class Sums:
    """Money and work of one pool over the same time."""

    spend: Spend = field(default_factory=Spend)
    work: Work = field(default_factory=Work)

    def __add__(self, other: Sums) -> Self:
        return type(self)(self.spend + other.spend, self.work + other.work)
