"""What no pass may do to workers that serve. Every pass of a simulation is held against it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from slicewise.pool.observed import ObservedNode, ObservedPod


def check_floor(
    status: Mapping[str, Any], budgets: Mapping[str, int], before: Counter[str], after: Counter[str]
) -> None:
    """A pass of ours never takes a serving worker away from a zone that has no more than its floor. `before`, `after`: by zone."""
    floors = {zone["name"]: zone["floor"] for zone in status.get("zones", [])} | dict(budgets)
    for name, floor in floors.items():
        if after[name] < before[name]:
            assert after[name] >= floor, f"zone {name}: {before[name]} → {after[name]}, floor {floor}"
    # A pool of one has only its zone's floor, which its user may set to 0.
    if status.get("desired", 0) > 1 and sum(before.values()):
        assert sum(after.values()), "a pass took the last worker that served"


def check_room_made(
    status: Mapping[str, Any],
    before: Iterable[ObservedPod],
    after: Iterable[ObservedPod],
    nodes: Mapping[str, ObservedNode],
    others: Mapping[str, int],
) -> None:
    """A pass of ours that leaves a zone with fewer workers than it is to have takes one whose slice another worker can have.

    `others`: node → slices that pods of others hold.
    """
    serves = {pod.name: pod for pod in before if pod.serving}
    stays = [pod for pod in after if not pod.terminating]
    kept = {pod.name for pod in stays if pod.serving}
    desired = {zone["name"]: zone["desired"] for zone in status.get("zones", [])}
    up, held = Counter(pod.zone for pod in stays if pod.serving), Counter(pod.node for pod in stays if pod.holds_slice)
    for pod in (pod for name, pod in serves.items() if name not in kept and up[pod.zone] < desired.get(pod.zone, 0)):
        node = nodes[str(pod.node)]
        left = sum(node.allocatable.values()) - others.get(node.name, 0) - held[node.name]
        words = "cordoned" if node.cordoned else "not usable" if not node.usable else f"{left} slices left"
        assert left * node.usable > 0, f"{pod.name} was removed from {node.name}, which takes no other: {words}"


def check_emptiest(
    status: Mapping[str, Any],
    before: Iterable[ObservedPod],
    after: Iterable[ObservedPod],
    nodes: Iterable[ObservedNode],
) -> None:
    """A pass that makes a pool smaller takes the workers with the fewest requests of their zone, where all say how many they have.

    Not in a rollout, nor while a worker waits for a node. Beside cordoned nodes and devices called unhealthy those on them go first.
    """
    pods, kept = tuple(before), {pod.name for pod in after if pod.serving}
    if any(pod.node is None or pod.suspect for pod in pods) or any(node.cordoned for node in nodes):
        return
    if status.get("rollout", {}).get("phase") != "Idle":
        return
    for place in {(pod.revision, pod.zone) for pod in pods}:
        here = {pod.name: pod.requests for pod in pods if (pod.revision, pod.zone) == place if pod.serving}
        known = {name: count for name, count in here.items() if count is not None}
        if len(known) < len(here):
            continue
        gone, stay = known.keys() - kept, known.keys() & kept
        if gone and stay:
            words = ", ".join(f"{name} {count}" for name, count in sorted(known.items()))
            most, least = max(known[name] for name in gone), min(known[name] for name in stay)
            assert most <= least, f"{sorted(gone)} went of {words}"


def left_over(nodes: Iterable[ObservedNode], free: Callable[[ObservedNode], int]) -> Counter[str]:
    """Return zone → slices that a further worker can have. `free`: what the scheduler has left on a node."""
    result: Counter[str] = Counter()
    for node in nodes:
        result[node.zone] += max(0, free(node)) if node.usable else 0
    return result


def reachable(status: Mapping[str, Any], nodes: Iterable[ObservedNode], others: Mapping[str, int]) -> int:
    """Return how many of the workers that each zone is to have could be had there: a zone without slices has none.

    `others`: node → slices that pods of others hold.
    """
    slices: Counter[str] = Counter()
    for node in nodes:
        slices[node.zone] += max(0, sum(node.allocatable.values()) - others.get(node.name, 0))
    return sum(min(zone["desired"], slices[zone["name"]]) for zone in status.get("zones", []))


@dataclass
class Owed:
    """Ready workers that passes of ours have taken below the number that a pool could have, and that have not been replaced yet.

    Counted by what was done, not by what is asked for: one at a time may be missing, and what is missing for other reasons is not ours.
    """

    workers: int = 0
    ready: int = 0
    """Ready workers after the last pass, or the last step of the cluster."""

    def passed(self, desired: int, before: int, after: int) -> None:
        """A pass of ours took the pool from `before` to `after` ready workers."""
        taken = max(0, min(before, desired) - after)
        self.workers += taken
        self.lasts(desired, after)
        words = f"{before} → {after} of {desired} workers are ready"
        assert not taken or self.workers <= 1, f"{words}: {self.workers} are missing because of passes of ours"

    def lasts(self, desired: int, ready: int) -> None:
        """What has come back, or is no longer asked for, is not owed."""
        back = max(0, ready - self.ready)
        self.workers, self.ready = max(0, min(self.workers - back, desired - ready)), ready


def check_requests_first(
    weights: Mapping[str, int], asking: Container[str], before: Counter[str], after: Counter[str]
) -> None:
    """No revision loses its last worker that serves while the gateway sends it requests and the other could take them.

    `asking`: revisions of which a Deployment asks for workers. `before`, `after`: by revision.
    """
    for revision, weight in weights.items():
        others = any(count for name, count in after.items() if name != revision)
        if weight and others and before[revision] and not after[revision]:
            assert revision in asking, f"{revision} lost its last worker with {weight} % of the requests"
