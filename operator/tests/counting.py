"""A gateway for the simulated cluster: sends requests by the plan's weights, counts as Envoy does, and is read by the real meter."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.cluster.meter import Meter, about_of
from slicewise.envoy.measurement import Counts, NoData, Reading
from slicewise.envoy.model import cluster_name
from slicewise.envoy.routes import WEIGHT_PREFIX
from slicewise.pool.observed import GatewayInfo, ObservedGatewayPod
from slicewise.pool.rollout.verdict_record import Measured


@dataclass(frozen=True, slots=True)
class Quality:
    """Shares of a revision's requests."""

    failed: float = 0.0
    slow: float = 0.0
    refused: float = 0.0
    hangs: float = 0.0
    """They cross the limit and never end."""


@dataclass
class CountingGateway:
    """One gateway pod. `rate`: requests per second of the pool."""

    rate: float = 10.0
    quality: dict[str, Quality] = field(default_factory=dict)
    """Revision → how it is; others are without fault."""
    only: str = ""
    """The revision that all requests go to, whatever the weights are: those for another one never come."""
    unreadable: bool = False
    seed: int = 0
    counts: dict[str, Counts] = field(default_factory=dict)
    weights: dict[str, int] = field(default_factory=dict)
    """Of the configuration that Envoy runs."""
    delay: int = 1
    """Seconds until Envoy runs what the operator wrote."""
    version: str | None = None
    """Of the configuration that Envoy runs."""
    coming: list[tuple[int, str, dict[str, int]]] = field(default_factory=list)
    seconds: int = 0
    meter: Meter = field(default_factory=Meter)
    sent: list[dict[str, int]] = field(default_factory=list)
    """Requests of each second, by revision."""

    def __post_init__(self) -> None:
        """Seed the traffic."""
        self.random = random.Random(self.seed)
        self.started = 0

    def told(self, version: str, children: Iterable[Mapping[str, Any]]) -> None:
        """The operator has written a ConfigMap."""
        config = next(
            child["data"] for child in children if child["kind"] == "ConfigMap" and "rtds.json" in child.get("data", {})
        )
        if version != (self.coming[-1][1] if self.coming else self.version):
            self.coming.append((self.seconds + self.delay, version, _weights(config["rtds.json"])))
        self._take_up()

    def _take_up(self) -> None:
        while self.coming and self.coming[0][0] <= self.seconds:
            _, self.version, self.weights = self.coming.pop(0)
            for revision in self.weights:
                self.counts.setdefault(revision, Counts())

    def pods(self, seen: Iterable[ObservedGatewayPod]) -> tuple[ObservedGatewayPod, ...]:
        """What the operator sees of the gateway's pods; they run what this one does."""
        info = GatewayInfo(self.version, self.version, programmed=True, reason="", message="")
        return tuple(replace(pod, info=info) for pod in seen)

    def pass_second(self, serving: Mapping[str, int]) -> None:
        """A second of requests."""
        self.seconds += 1
        self._take_up()
        sent = dict.fromkeys(self.weights, 0)
        for _ in range(self._arrivals()):
            revision = self.random.choices(list(self.weights), list(self.weights.values()))[0] if self.weights else None
            if revision is None or self.only not in {"", revision}:
                continue
            sent[revision] += 1
            self.counts[revision] = self.counts[revision] + self._answer(revision, serving)
        self.sent.append(sent)

    def _answer(self, revision: str, serving: Mapping[str, int]) -> Counts:
        how = self.quality.get(revision, Quality())
        if not serving.get(revision) or self.random.random() < how.failed:
            return Counts(tries=1, failed=1)
        if self.random.random() < how.refused:
            return Counts(tries=1, refused=1)
        if self.random.random() < how.hangs:
            return Counts(tries=1, timed=1, slow=1, pending=1)
        return Counts(tries=1, timed=1, slow=int(self.random.random() < how.slow))

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

    def measured(self, status: PoolStatus) -> Measured:
        """What the observing step does: read, once a second, while somebody is judged."""
        if about_of(status) is None:
            self.meter = Meter()
            return Measured()
        self.meter.offer(status)
        if self.meter.looked_at != self.seconds:
            answer: Reading | NoData = Reading(self.seconds - self.started, dict(self.counts))
            if self.unreadable:
                answer = NoData("10.0.0.9:9090 cannot be read: TimeoutError")
            stable, canary = self.meter.revisions.stable, self.meter.revisions.canary
            if stable and canary:
                self.meter.add({"gateway": answer}, stable, canary, self.seconds)
        return self.meter.offer(status)


def _weights(rtds: str) -> dict[str, int]:
    """Return revision → weight, as Envoy reads them."""
    layer = json.loads(rtds)["resources"][0]["layer"]
    prefix = f"{WEIGHT_PREFIX}.{cluster_name('')}"
    return {key.removeprefix(prefix): int(value) for key, value in layer.items() if key.startswith(prefix)}
