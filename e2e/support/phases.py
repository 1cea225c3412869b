"""Watches a pool's rollouts, phase by phase."""

from __future__ import annotations

from collections.abc import Sequence

from e2e.support.api import Api, Object
from e2e.support.pool import Pool
from e2e.support.watchers import Watch


class Phases(Watch):
    """Remembers `status.rollout` as it was when each phase began: some phases are over within a moment."""

    def __init__(self, api: Api, pool: Pool) -> None:
        self._pool = pool
        self._history: list[Object] = []
        self._told = 0
        self._now: Object = {}
        super().__init__(api, "inferencepools", pool.namespace)

    def begin(self, found: Sequence[Object]) -> None:
        for each in found:
            self.take("ADDED", each)

    def take(self, action: str, found: Object) -> None:
        if found["metadata"]["name"] != self._pool.name:
            return
        self._now = dict((found.get("status") or {}).get("rollout") or {})
        last = self._history[-1] if self._history else {}
        if any(self._now.get(part) != last.get(part) for part in ("phase", "target")):
            self._history.append(self._now)

    def next(self, phase: str) -> Object:
        """Return how the phase began that was not asked for before. Raises AssertionError while it has not."""
        for index in range(self._told, len(self._history)):
            if self._history[index].get("phase") == phase:
                self._told = index + 1
                return self._history[index]
        seen = [each.get("phase") for each in self._history[self._told :]]
        raise AssertionError(
            f"{self._now.get('phase')}: {self._now.get('message')}; since it was last looked at: {seen}"
        )
