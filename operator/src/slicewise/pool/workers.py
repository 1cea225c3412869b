"""Workers: the pool's pods and Deployments, counted by revision and zone. Called by `plan_pool`; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from slicewise.pool.observed import ObservedDeployment, ObservedPod
from slicewise.pool.rollout.keeping import ZoneWorkers
from slicewise.pool.slices import ZoneSlices

_FEW_RESTARTS: Final = 2
DEVICE_BROKEN: Final = frozenset({"DeviceLost", "DeviceFault", "DeviceMemoryFault"})
"""Of the worker's ends for its device those that another device may not have."""


@dataclass(frozen=True)
class Workers:
    """Read-only counts over one pool's workers."""

    pods: tuple[ObservedPod, ...]
    deployments: tuple[ObservedDeployment, ...]
    alive: frozenset[str] = frozenset()
    """Names of the nodes that are there and ready."""

    def asked(self, revision: str | None) -> dict[str, int]:
        """Return zone → replicas that the Deployments of `revision` ask for."""
        return {item.zone: item.replicas for item in self.deployments if item.revision == revision}

    def serving(self, revision: str | None = None) -> Counter[str]:
        """Return zone → workers that take requests, of one revision or of all.

        Never more than the Deployment asks for: between our write and the end of a pod the view still shows it ready.
        """
        result: Counter[str] = Counter()
        for (name, zone), count in self._serving.items():
            if revision is None or name == revision:
                result[zone] += count
        return result

    @cached_property
    def _serving(self) -> dict[tuple[str, str], int]:
        """(revision, zone) → workers that take requests and that a Deployment asks for."""
        up: dict[tuple[str, str], int] = {}
        for pod in self.pods:
            if pod.serving:
                up[pod.revision, pod.zone] = up.get((pod.revision, pod.zone), 0) + 1
        asked = {(item.revision, item.zone): item.replicas for item in self.deployments}
        return {key: min(count, asked.get(key, 0)) for key, count in up.items()}

    def staying(self, planned: Mapping[str | None, Mapping[str, int]]) -> Counter[str]:
        """Return zone → workers that take requests once `planned` is carried out: revision → zone → replicas."""
        result: Counter[str] = Counter()
        for revision, by_zone in planned.items():
            if revision is not None:
                result += Counter({zone: min(up, by_zone.get(zone, 0)) for zone, up in self.serving(revision).items()})
        return result

    def present(self, revision: str | None = None) -> Counter[str]:
        """Return zone → workers that are there and not going, of one revision or of all."""
        return self._count(lambda pod: not pod.terminating and revision in {None, pod.revision})

    def unplaced(self, revision: str | None) -> Counter[str]:
        """Return zone → workers of `revision` that wait for a node."""
        return self._count(lambda pod: pod.revision == revision and pod.node is None and not pod.terminating)

    def placed(self, revision: str | None) -> Counter[str]:
        """Return zone → workers of `revision` that hold a slice and stay."""
        return self._count(lambda pod: pod.revision == revision and pod.holds_slice and not pod.terminating)

    def idle(self, revision: str | None) -> Counter[str]:
        """Return zone → workers of `revision` that hold a slice and take no requests."""
        return self._count(
            lambda pod: pod.revision == revision and pod.holds_slice and not pod.terminating and not pod.serving
        )

    def lost(self) -> Counter[str]:
        """Return zone → workers that ended because their device is lost or broken, and did again when they were started again."""
        return self._count(
            lambda pod: (
                pod.ended_reason in DEVICE_BROKEN and keeps_ending(pod) and not pod.ready and not pod.terminating
            )
        )

    def late_in(self, revision: str | None, deadline: float, now: float) -> float | None:
        """Return in how many seconds a worker of `revision` that holds a slice and takes no requests is older than `deadline`.

        Below 0 where one is. None where there is no such worker.
        """
        made = [
            pod.created_at
            for pod in self.pods
            if pod.revision == revision and pod.holds_slice and not pod.terminating and not pod.serving
        ]
        return min(made) + deadline - now if made else None

    def releasing(self) -> Counter[str]:
        """Return zone → workers that hold a slice and terminate, or that no Deployment asks for any more.

        A pod on a node that is gone is not among them: it is unknown when it ends, and its slice does not exist.
        """
        result: Counter[str] = Counter()
        staying: Counter[tuple[str, str]] = Counter()
        for pod in self.pods:
            if pod.holds_slice and pod.node in self.alive:
                result[pod.zone] += pod.terminating
                staying[pod.revision, pod.zone] += not pod.terminating
        asked = {(item.revision, item.zone): item.replicas for item in self.deployments}
        for (revision, zone), count in staying.items():
            result[zone] += max(0, count - asked.get((revision, zone), 0))
        return +result

    def is_placed(self, revision: str | None, zone: str | None) -> bool:
        """Return whether any worker of `revision` in `zone` has been bound to a node."""
        return any(
            (pod.revision, pod.zone) == (revision, zone) and pod.node is not None and not pod.terminating
            for pod in self.pods
        )

    def refusal(self, revision: str | None) -> str:
        """Return what the scheduler says of a worker of `revision` that fits no node; empty where it says nothing."""
        for pod in self.pods:
            if pod.revision == revision and pod.unplaced:
                return pod.refusal
        return ""

    def refused(self, before: float) -> set[str]:
        """Return the zones in which a worker made by that time fits no node, and none is about to leave a slice."""
        going = self.releasing()
        return {pod.zone for pod in self.pods if pod.unplaced and pod.created_at <= before if not going[pod.zone]}

    def crash(self, revision: str | None) -> str:
        """Return what is said of a worker of `revision` that ends again and again; empty where none does."""
        for pod in self.pods:
            if pod.revision == revision and not pod.terminating and pod.waiting_reason == "CrashLoopBackOff":
                return told_end(pod)
        return ""

    def revisions(self) -> set[str]:
        """Return the hashes of all revisions that have workers or a Deployment that asks for some."""
        from_pods = {pod.revision for pod in self.pods}
        return from_pods | {item.revision for item in self.deployments if item.replicas > 0}

    def _count(self, keep: Callable[[ObservedPod], bool]) -> Counter[str]:
        return Counter(pod.zone for pod in self.pods if pod.phase in {"Pending", "Running"} and keep(pod))

    def replacing(
        self,
        old: str | None,
        new: str | None,
        slices: Iterable[ZoneSlices],
        *,
        exchangeable: bool,
        closed: Collection[str] = (),
        no_place: Collection[str] = (),
    ) -> Mapping[str, ZoneWorkers]:
        """Return zone → what replacing `old` by `new` looks at. `slices`: those of the new revision's profile.

        `closed`: nodes that the new revision may not use. Where a worker of the old one stands on such a node, none is removed: it is
        unknown which of them the Deployment would remove. `no_place`: nodes that take no worker in place of one that goes. Where all of the
        old one's stand on such nodes, none is removed either: its slice would serve no other.
        """
        old_asked, new_asked = self.asked(old), self.asked(new)
        staying = [pod for pod in self.pods if pod.revision == old and not pod.terminating]
        apart = {pod.zone for pod in staying if pod.node in closed}
        # One that was removed by name and has no successor yet is none of these: it is the next to go.
        stuck = Counter(pod.zone for pod in staying if pod.node in no_place)
        apart |= {zone for zone, count in stuck.items() if count >= old_asked.get(zone, 0)}
        counted = {entry.zone: entry for entry in slices}
        old_up, new_up, waiting = self.serving(old), self.serving(new), self.unplaced(new)
        idle, releasing = self.idle(old), self.releasing()
        useful = {pod.zone for pod in staying if pod.node is not None and pod.node not in no_place}
        unbound = waiting + self.unplaced(old)
        # Nor is one that waits and finds no slice: another would go for it.
        apart |= {
            zone
            for zone in stuck.keys() & counted.keys() - useful
            if counted[zone].free == 0 and unbound[zone] <= counted[zone].short and not releasing[zone]
        }

        def in_zone(zone: str) -> ZoneWorkers:
            here = counted.get(zone) or ZoneSlices(zone, free=0, own=0, offered=0, known=False)
            return ZoneWorkers(
                old=old_asked.get(zone, 0),
                new=new_asked.get(zone, 0),
                old_serving=old_up[zone],
                new_serving=new_up[zone],
                free=here.free,
                exchangeable=exchangeable and zone not in apart,
                new_unplaced=waiting[zone],
                short=here.short,
                old_idle=idle[zone],
                releasing=releasing[zone],
                room=here.room + here.kept if here.known else None,
            )

        return {zone: in_zone(zone) for zone in dict.fromkeys([*counted, *old_asked, *new_asked, *releasing])}


def living(pods: Iterable[ObservedPod]) -> tuple[ObservedPod, ...]:
    """Return the pods that are workers: not `Failed` or `Succeeded` ones."""
    return tuple(pod for pod in pods if pod.phase not in {"Failed", "Succeeded"})


def keeps_ending(pod: ObservedPod) -> bool:
    """Whether a worker has ended so often without serving that it will not serve by being started again."""
    return pod.waiting_reason == "CrashLoopBackOff" or (pod.restarts > _FEW_RESTARTS and not pod.ready)


def told_end(pod: ObservedPod) -> str:
    """Return how often a worker has ended, and its last words."""
    often = f" {pod.restarts} times" if pod.restarts > 1 else ""
    words = pod.ended_message or pod.waiting_message
    return f"{pod.name} ended{often}" + (f": {words}" if words else "")


def lost_nodes(pods: Iterable[ObservedPod]) -> str:
    """Return what is said of nodes that are gone with workers that were ready there; empty where none is."""
    lost = sorted({str(pod.node) for pod in pods if pod.node_lost})
    if not lost:
        return ""
    return f"node {', '.join(lost)} is gone or does not answer"
