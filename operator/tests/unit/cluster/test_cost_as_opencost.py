"""An hour of one node, by the formulas of OpenCost's specification (v0.1) and by ours: where both can say something, they agree.

Workload cost = max(requested, used) × price × hours, for each pod. Cluster idle = asset cost less workload cost. Workload idle = requested
and not used. Asset cost = amount × price × hours.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from builders import MIG
from unit.cluster.test_costing import Scene, serving

from slicewise.clients.resources import PODS
from slicewise.cluster.costing import slice_rates
from slicewise.cost.prices import Prices
from slicewise.cost.work import WorkerCounts

SLICES = 4
LOOKS = 120
"""Of half a minute."""


@dataclass(frozen=True)
class Pod:
    """A worker with one slice."""

    name: str
    came: int
    """Look at which it came."""
    went: int
    busy: float
    """Part of its time in which the engine computes."""

    @property
    def hours(self) -> float:
        return (self.went - self.came) / LOOKS


@pytest.mark.parametrize("price", [0.35, 2.0])
@pytest.mark.parametrize(
    "pods",
    [
        [Pod("a", 0, LOOKS, 0.0)],
        [Pod("a", 0, LOOKS, 0.4), Pod("b", 0, LOOKS, 1.0)],
        [Pod("a", 0, LOOKS, 0.4), Pod("b", 30, LOOKS, 0.5), Pod("c", 30, 60, 0.0)],
    ],
    ids=["idle", "two", "come and go"],
)
def test_an_hour_costs_the_same_by_both(pods: list[Pod], price: float) -> None:
    workload = sum(max(1.0, pod.busy) * price * pod.hours for pod in pods)
    asset = SLICES * price
    workload_idle = sum((1.0 - pod.busy) * price * pod.hours for pod in pods)

    scene, free = Scene(Prices("USD", {MIG: price})), 0.0
    for look in range(LOOKS + 1):
        for pod in pods:
            if pod.came == look:
                scene.cache.ingest(PODS, serving(pod.name))
            if pod.went == look and look < LOOKS:
                scene.cache.ingest(PODS, serving(pod.name), deleted=True)
            scene.said.counts_of[pod.name] = WorkerCounts(busy_seconds=pod.busy * 30.0 * (look - pod.came))
        scene.look()
        rates = slice_rates(scene.cache, scene.prices)
        free += rates[MIG, "a", "open"] / LOOKS if look else 0.0
    account = scene.cache.pools["default", "chat"].account
    assert account is not None
    spend = account.month.spend

    one_look = price / LOOKS
    assert spend.total == pytest.approx(workload, abs=2 * one_look)
    assert free == pytest.approx(asset - workload, abs=2 * one_look)
    assert spend.idle == pytest.approx(workload_idle, abs=2 * one_look)
    assert spend.total + free == pytest.approx(asset)
