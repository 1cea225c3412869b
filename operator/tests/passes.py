"""When a simulation's operator makes a pass: where the real one does, after an event or when one is due.

A test calls for a pass every second. While nothing has changed since the last one and it asked for none yet, the operator makes none,
and what it decided stands. That a pass would decide the same then is a promise of the plan, because no event would wake it:
every eighth is made all the same, or each where `MADE` says so, and held against what stands.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from slicewise.api.v1alpha1 import InferencePool
from slicewise.pool.observed import ObservedPool
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool


@dataclass
class Passes:
    """The passes over one pool."""

    MADE: ClassVar[int] = 8
    """Of so many passes that are not asked for, one is made."""

    last: PoolPlan | None = None
    idle: int = 0
    _pool: InferencePool | None = None
    _observed: ObservedPool | None = None
    _at: float = 0.0
    _due: float | None = None

    def plan(self, pool: InferencePool, observed: ObservedPool, now: float) -> PoolPlan:
        """Return what is decided at `now`; `last`, the same object, where no pass is asked for."""
        if self.last is None or self._asked(pool, observed, now):
            self.last = plan_pool(pool, observed, now)
            self._pool, self._observed, self._at = pool, observed, now
            wait = self.last.requeue_after
            self._due = None if wait is None else now + wait
            return self.last
        if self._due is not None:
            self.last = replace(self.last, requeue_after=self._due - now)
        self.idle += 1
        if self.idle % self.MADE == 0:
            check_same(self.last, plan_pool(pool, observed, now))
        return self.last

    def _asked(self, pool: InferencePool, observed: ObservedPool, now: float) -> bool:
        # A clock that was set back puts nothing off: the real operator waits by another one.
        if self.last is None or now < self._at or (self._due is not None and now >= self._due):
            return True
        return pool is not self._pool or observed != self._observed


def check_same(stands: PoolPlan, made: PoolPlan) -> None:
    """Raise AssertionError where a pass that was not asked for would change anything. It may wait for longer, not for less."""
    for plan in (stands, made):
        assert not plan.events, "what is not written is said again at each pass"
    assert (made.children, made.status, made.deletions) == (stands.children, stands.status, stands.deletions)
    assert (made.ending, made.gateway_version) == (stands.ending, stands.gateway_version)
    if made.requeue_after is not None:
        assert stands.requeue_after is not None
        assert made.requeue_after >= stands.requeue_after - 1e-6
