"""Given: what a story starts from."""

from __future__ import annotations

from typing import Any

from e2e.support import pool as pools
from e2e.support.api import Object
from e2e.support.client import Client
from e2e.support.floors import FloorWatch
from e2e.support.load import Load
from e2e.support.monitoring import Monitoring
from e2e.support.nodes import RACK
from e2e.support.phases import Phases
from e2e.support.pool import Pool
from e2e.support.story import Story
from e2e.support.then import Then
from e2e.support.trial_mariadb import TrialMariadb
from e2e.support.trial_redis import TrialRedis


class Given:
    """The beginning of a story."""

    def __init__(self, story: Story) -> None:
        self._story = story
        self._then = Then(story)

    def a_pool(self, name: str = "chat", *, within: float = 150, **spec: Any) -> Pool:
        """A pool that is Ready; `spec`: fields that differ from the small one of the stories."""
        pool = self._story.apply(pools.manifest(name, **spec))
        self._then.is_ready(pool, within=within)
        return pool

    def an_example(self, file: str, model: str = "tiny") -> Object:
        """`docs/examples/<file>` with the weights taken from inside the cluster."""
        return pools.example(file, **pools.model(model))

    def load_on(self, pool: Pool, *, rate: float = 3, tokens: int = 8, node: str | None = None, key: str = "") -> Load:
        """Requests to the pool all the time, each on a connection of its own."""
        load = Load(self._story.api, pool, rate=rate, tokens=tokens, node=node, key=key)
        self._story.loads.append(load)
        return load

    def a_client(self) -> Client:
        """A pod from which single requests are made."""
        return Client(self._story)

    def a_prometheus(self) -> Monitoring:
        """A Prometheus that scrapes what the chart's monitors name, with the chart's alerts."""
        return Monitoring(self._story)

    def a_redis(self) -> TrialRedis:
        """The chart's Redis for trials, in the story's namespace."""
        return TrialRedis(self._story)

    def a_mariadb(self) -> TrialMariadb:
        """The chart's MariaDB for trials, in the story's namespace."""
        return TrialMariadb(self._story)

    def an_eye_on_the_floors_of(self, pool: Pool) -> FloorWatch:
        """From now on the fewest ready workers of each zone are remembered."""
        watch = FloorWatch(self._story.api, pool)
        self._story.floors.append(watch)
        return watch

    def an_eye_on_the_rollouts_of(self, pool: Pool) -> Phases:
        """From now on each phase is remembered."""
        phases = Phases(self._story.api, pool)
        self._story.undo.append(phases.stop)
        return phases

    def racks(self, **rack_by_zone: str) -> dict[str, Any]:
        """The node of each of these zones stands in a rack; returns `spec.zones` of a pool that counts by racks."""
        for zone, rack in rack_by_zone.items():
            self._story.nodes.put_into_rack(self._story.nodes.in_zone(zone), rack)
        return {"topologyKey": RACK, "names": sorted(set(rack_by_zone.values())), "minAvailable": 1}
