"""A gateway for the simulated cluster: sends requests by the plan's weights, counts as Envoy does, and is read by the real meter."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slicewise.controller.meter import Meter
from slicewise.gateway.measurement import Counts, NoData, Reading
from slicewise.pool.rollout.judgement import Measured
from slicewise.pool.rollout.state import RolloutState
from slicewise.pool.rollout.traffic import traffic


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of a revision's requests."""

    failed: float = 0.0
    slow: float = 0.0


@dataclass
class CountingGateway:
    """One gateway pod. `rate`: requests per second of the pool."""

    rate: float = 10.0
    quality: dict[str, Quality] = field(default_factory=dict)
    """Revision → how it is; others are without fault."""
    unreadable: bool = False
    seed: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    serving: dict[str, int] = field(default_factory=dict)
    """When the weights were last set."""
    seconds: int = 0
    meter: Meter = field(default_factory=Meter)
    sent: list[dict[str, int]] = field(default_factory=list)
    """Requests of each second, by revision."""

    def __post_init__(self) -> None:
        """Seed the traffic."""
        self.random = random.Random(self.seed)
        self.started = 0

    def follow(self, state: RolloutState, serving: Mapping[str, int]) -> None:
        """Take the weights of the stored state, as the operator's ConfigMap brings them."""
        self.weights, self.serving = traffic(state, serving), dict(serving)
        for revision in self.weights:
            self.counts.setdefault(revision, Counts())

    def pass_second(self, serving: Mapping[str, int]) -> None:
        """A second of requests."""
        self.seconds += 1
        sent = dict.fromkeys(self.weights, 0)
        for _ in range(self._arrivals()):
            revision = self.random.choices(list(self.weights), list(self.weights.values()))[0] if self.weights else None
            if revision is None:
                continue
            sent[revision] += 1
            self.counts[revision] = self.counts[revision] + self._answer(revision, serving)
        self.sent.append(sent)

    def _answer(self, revision: str, serving: Mapping[str, int]) -> Counts:
        how = self.quality.get(revision, Quality())
        if not serving.get(revision) or self.random.random() < how.failed:
            return Counts(requests=1, failed=1)
        return Counts(requests=1, timed=1, slow=int(self.random.random() < how.slow))

    def _arrivals(self) -> int:
        whole = int(self.rate)
        return whole + int(self.random.random() < self.rate - whole)

    def restart(self) -> None:
        """Envoy starts anew: its counters begin at 0."""
        self.started = self.seconds
        self.counts = dict.fromkeys(self.counts, Counts())

    def operator_restarts(self) -> None:
        """Another leader: what the meter held is gone."""
        self.meter = Meter()

    def measured(self, status: Mapping[str, Any]) -> Measured:
        """What the observing step does: read, once a second, while somebody is judged."""
        self.meter.offer(status)
        if self.meter.about is not None and self.meter.looked_at != self.seconds:
            answer: Reading | NoData = Reading(self.seconds - self.started, dict(self.counts))
            if self.unreadable:
                answer = NoData("10.0.0.9:9090 cannot be read: TimeoutError")
            revisions = status["revisions"]
            self.meter.add({"gateway": answer}, revisions["stable"], revisions["canary"], self.seconds)
        return self.meter.offer(status)
