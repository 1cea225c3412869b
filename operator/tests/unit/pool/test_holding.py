"""Our own scale-down beside evictions: whatever happens in between, no zone loses workers below its floor by what is asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from builders import make_node, make_pool
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulation import OTHER, Simulation, changed

from slicewise.pool.holding import HOLD_SECONDS
from slicewise.pool.observed import ObservedBudget
from slicewise.pool.plan import plan_pool


@dataclass
class Racing(Simulation):
    """As a cluster is: the disruption controller and the ReplicaSets act some time after what they see was written.

    Evictions come at any moment, also between what a pass sees and what it writes.
    """

    generation: dict[str, int] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    allowed: dict[str, int] = field(default_factory=dict)
    away: bool = False
    """Whether the disruption controller does nothing."""
    evicting: float = 0.5
    strangers: Counter[str] = field(default_factory=Counter)
    """Zone → ready pods that only carry the workers' labels."""
    fewest: dict[str, int] = field(default_factory=dict)

    def observed_budgets(self) -> list[ObservedBudget]:
        return [
            replace(
                item,
                seen=self._is_seen(item.zone),
                healthy=self.counted.get(item.zone, 0),
                strangers=self.strangers[item.zone],
            )
            for item in super().observed_budgets()
        ]

    def _is_seen(self, zone: str) -> bool:
        return self.seen.get(zone, 0) == self.generation.get(zone, 0)

    def race(self) -> None:
        """One pass, with evictions between its look, its writes, and what controllers make of them."""
        observed, budgets = self.observed(), dict(self.budgets)
        plan = plan_pool(self.pool, observed, self.now)
        self.evictions()
        pods = dict(self.pods)
        self._apply(plan)
        asked, self.pods = self.pods, pods  # the ReplicaSets have yet to see it; deletions by name are done at once
        self.pods = {name: pod for name, pod in pods.items() if pod.uid not in {item.uid for item in plan.deletions}}
        del asked
        for zone, least in self.budgets.items():
            if budgets.get(zone) != least:
                self.generation[zone] = self.generation.get(zone, 0) + 1
        self.evictions()
        if self.random.random() < 0.7:
            for item in list(self.deployments.values()):
                self._shrink(item, item.replicas)
            owned = {(item.revision, item.zone) for item in self.deployments.values()}
            for pod in list(self.pods.values()):
                if (pod.revision, pod.zone) not in owned:
                    self.pods[pod.name] = replace(pod, terminating=True)
        self.evictions()
        if not self.away and self.random.random() < 0.6:
            self.disrupt()
        self.evictions()

    def disrupt(self) -> None:
        """The disruption controller counts."""
        healthy = self.strangers + Counter(pod.zone for pod in self.pods.values() if pod.ready and not pod.terminating)
        for zone, least in self.budgets.items():
            self.seen[zone], self.counted[zone] = self.generation.get(zone, 0), healthy[zone]
            self.allowed[zone] = max(0, healthy[zone] - least)

    def evictions(self) -> None:
        """What the Eviction API does: it goes by what was counted last, and counts what it allows."""
        for pod in list(self.pods.values()):
            if self.random.random() > self.evicting or not pod.ready or pod.terminating:
                continue
            zone = pod.zone
            if self.strangers[zone] and zone not in self.held:
                continue  # an eviction that goes by a pod of somebody else is not ours to prevent
            if zone in self.budgets and self._is_seen(zone) and self.allowed.get(zone, 0) > 0:
                self.allowed[zone] -= 1
                self.counted[zone] -= 1
                self.pods[pod.name] = replace(pod, terminating=True)

    def live(self, steps: int, then: Callable[[], None] = lambda: None) -> None:
        for _ in range(steps):
            before = self.ready()
            self.race()
            after = self.ready()
            for zone in after | before:
                floor = self.floor(zone)
                lost = after[zone] < before[zone]
                assert not lost or after[zone] >= floor, f"zone {zone}: {before[zone]} → {after[zone]}, floor {floor}"
            then()
            self.tick()

    def floor(self, zone: str) -> int:
        return next((item["floor"] for item in self.status.get("zones", []) if item["name"] == zone), 0)


def racing(replicas: int, slices: int, floor: int | None, seed: int, strangers: dict[str, int] | None = None) -> Racing:
    zones = {} if floor is None else {"minAvailable": floor}
    run = Racing(make_pool(replicas=replicas, zones=zones), evicting=0.0, strangers=Counter(strangers or {}))
    run.random.seed(seed)
    sizes = {"0": 1, "1": slices - 1}
    run.nodes = {f"node-{z}{n}": make_node(f"node-{z}{n}", z, count) for z in "abc" for n, count in sizes.items()}
    run.live(80)
    run.evicting = 0.3
    return run


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    replicas=st.integers(3, 9),
    slices=st.integers(2, 4),
    floor=st.one_of(st.none(), st.integers(1, 2)),
    edits=st.lists(st.sampled_from(["model", "down", "up"]), min_size=1, max_size=3),
    strangers=st.dictionaries(st.sampled_from("abc"), st.integers(1, 2)),
    cordoned=st.sets(st.sampled_from("abc")),
)
@example(seed=9, replicas=6, slices=2, floor=None, edits=["model"], strangers={}, cordoned=set())
@example(seed=2, replicas=7, slices=2, floor=None, edits=["down"], strangers={}, cordoned=set())
@example(seed=2, replicas=7, slices=2, floor=None, edits=["down"], strangers={"a": 1, "b": 1, "c": 1}, cordoned=set())
@example(seed=3, replicas=9, slices=3, floor=1, edits=["model", "down"], strangers={}, cordoned={"a", "b", "c"})
def test_evictions_beside_our_own_scale_down_take_no_zone_below_its_floor(
    *,
    seed: int,
    replicas: int,
    slices: int,
    floor: int | None,
    edits: list[str],
    strangers: dict[str, int],
    cordoned: set[str],
) -> None:
    run = racing(replicas, slices, floor, seed, strangers)
    for zone in cordoned:
        run.nodes[f"node-{zone}0"] = replace(run.nodes[f"node-{zone}0"], cordoned=True)
    for edit in edits:
        count = run.pool.spec.replicas or 1
        match edit:
            case "model":
                run.pool = changed(run.pool, model=OTHER)
            case _:
                run.pool = changed(run.pool, replicas=max(1, count + (2 if edit == "up" else -3)))
        run.live(60)


@pytest.mark.parametrize("away", [False, True])
def test_a_scale_down_ends_and_leaves_no_budget_raised(*, away: bool) -> None:
    run = racing(6, 2, 1, 0)
    run.evicting, run.away = 0.0, away
    run.pool = changed(run.pool, replicas=3)
    run.live(200)
    assert run.ready() == {"a": 1, "b": 1, "c": 1}
    assert (run.budgets, run.held) == ({"a": 1, "b": 1, "c": 1}, {})


def test_an_idle_pass_writes_nothing_also_while_a_budget_is_held() -> None:
    run = racing(6, 2, 1, 0)
    run.evicting, run.away = 0.0, True
    run.pool = changed(run.pool, replicas=3)
    run.race()
    held, asked = dict(run.held), dict(run.deployments)
    assert set(held) == {"a", "b", "c"}
    run.now += 5
    run.race()
    assert (run.held, run.deployments) == (held, asked)


def scaled_down(strangers: dict[str, int], then: Callable[[Racing], None] = lambda run: None) -> float:
    """Scale six workers to three beside strangers, and return after how many seconds the last one was asked to go."""
    run = racing(6, 2, 1, 0, strangers)
    assert run.ready() == {"a": 2, "b": 2, "c": 2}
    run.evicting, began = 0.0, run.now
    run.pool = changed(run.pool, replicas=3)
    while sum(item.replicas for item in run.deployments.values()) > 3:
        run.live(1, lambda: then(run))
        assert run.now - began < 1000, run.condition("Ready")
    after = run.now - began
    run.live(60, lambda: then(run))
    assert (run.ready(), run.budgets, run.held) == ({"a": 1, "b": 1, "c": 1}, {"a": 1, "b": 1, "c": 1}, {})
    return after


def test_a_pod_with_the_labels_of_workers_delays_no_scale_down() -> None:
    assert scaled_down({"a": 1, "b": 3}) == scaled_down({})


def test_pods_that_come_and_go_hold_a_scale_down_up_for_a_bounded_time() -> None:
    """Each of the three zones waits for the end of a hold at most once."""

    def come_and_go(run: Racing) -> None:
        for zone in "abc":
            run.strangers[zone] = run.random.randrange(20)

    assert scaled_down({}, come_and_go) <= 3 * (HOLD_SECONDS + 10)


def test_strangers_stand_in_for_no_worker_and_take_no_workers_place_in_a_held_budget() -> None:
    """One of two workers was evicted a moment ago, and the view does not show it: the count that has a stranger in it does."""
    run = racing(6, 2, 1, 0, {"a": 1})
    run.evicting = 0.0
    run.pool = changed(run.pool, replicas=3)
    run.race()
    assert run.budgets == {"a": 3, "b": 2, "c": 2}, "the floor, the one that goes, and the stranger"
    run.disrupt()
    run.counted["a"] -= 1
    run.race()
    asked = {item.zone: item.replicas for item in run.deployments.values()}
    assert asked == {"a": 2, "b": 1, "c": 1}
