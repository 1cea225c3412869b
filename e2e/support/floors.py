"""Watches, change by change, how many workers are ready in each zone: what a floor is about."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from e2e.support.api import Api, Object
from e2e.support.pool import Pool, is_worker, serves, zone_of
from e2e.support.watchers import Watch


class FloorWatch(Watch):
    """Remembers the fewest ready workers that each zone had since it began."""

    def __init__(self, api: Api, pool: Pool) -> None:
        self._pool = pool
        self._pods: dict[str, Object] = {}
        self.fewest: dict[str, int] = {}
        self.story: list[str] = []
        """One line a change of a count, with the time: for the report."""
        self.failed: dict[str, str] = {}
        """Name of each pod of the pool that was seen in phase Failed → reason."""
        super().__init__(api, "pods", pool.namespace)

    def begin(self, found: Sequence[Object]) -> None:
        self._pods = {pod["metadata"]["uid"]: pod for pod in found}
        self._count("start")

    def take(self, action: str, found: Object) -> None:
        if action == "DELETED":
            self._pods.pop(found["metadata"]["uid"], None)
        else:
            self._pods[found["metadata"]["uid"]] = found
        self._count(f"{action.lower()} {found['metadata']['name']}")

    def _count(self, why: str) -> None:
        mine = [
            pod
            for pod in self._pods.values()
            if (pod["metadata"].get("labels") or {}).get("slicewise.dev/pool") == self._pool.name and is_worker(pod)
        ]
        now = Counter(zone_of(pod) for pod in mine if serves(pod))
        self.failed.update(
            {
                pod["metadata"]["name"]: pod["status"].get("reason", "")
                for pod in mine
                if pod["status"].get("phase") == "Failed"
            }
        )
        for zone in {*now, *self.fewest}:
            self.fewest[zone] = min(self.fewest.get(zone, now[zone]), now[zone])
        line = ", ".join(f"{zone} {now[zone]}" for zone in sorted(self.fewest))
        if not self.story or not self.story[-1].endswith(line):
            self.story.append(f"{time.strftime('%T')} {why}: {line}")
