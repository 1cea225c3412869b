"""Slices held by pods that are not our workers: listed node by node, shared by all pools, kept for a while.

Whose a pod is says the cache (by owner), not a label.

Nothing is watched for it: a watch on every pod of the cluster would cost more than all the rest. So it is read only while a
pool waits for slices or changes, and what was read last stands until then.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from slicewise.clients.clock import Clock
from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import PODS
from slicewise.objects.pods import held_slices

FRESH_SECONDS: Final = 10.0
_STALE_SECONDS: Final = 60.0
_AT_ONCE: Final = 8
_REST: Final = 20
"""What was read stays fresh for this many times as long as reading it took, at most a minute: while many pools come up, on many
nodes, the lists must not become the main work of the API server."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A pod that holds slices and was not one of our workers when it was read."""

    uid: str
    slices: Mapping[str, int]


class ForeignPods:
    """Node → extended resource → slices held by foreign pods."""

    def __init__(self, kube: KubeApi, clock: Clock, workers: Container[str], namespaces: tuple[str, ...] = ()) -> None:
        """`workers`: uids of our worker pods; `namespaces`: where pods may be listed, empty: everywhere."""
        self._kube = kube
        self._clock = clock
        self._namespaces: tuple[str | None, ...] = namespaces or (None,)
        self._read_at: dict[str, float] = {}
        self._workers = workers
        self._held: dict[str, list[Holder]] = {}
        self._took = 0.0
        self._lock = asyncio.Lock()

    @property
    def sees_all(self) -> bool:
        """Whether the pods of all namespaces are counted."""
        return self._namespaces == (None,)

    def known(self) -> Mapping[str, Mapping[str, int]]:
        """Return node → extended resource → slices, as read last. A worker of ours that has entered the cache since does not count."""
        found: dict[str, Mapping[str, int]] = {}
        for node, holders in self._held.items():
            total: Counter[str] = Counter()
            for holder in holders:
                if holder.uid not in self._workers:
                    total.update(holder.slices)
            found[node] = total
        return found

    async def refresh(self, nodes: Iterable[str]) -> bool:
        """Read the nodes whose last reading is 10 s old or older. False when the API server did not answer."""
        wanted = set(nodes)
        async with self._lock:
            now = self._clock.monotonic()
            old = now - min(_STALE_SECONDS, max(FRESH_SECONDS, self._took * _REST))
            stale = sorted(node for node in wanted if self._read_at.get(node, old - 1) < old)
            try:
                for first in range(0, len(stale), _AT_ONCE):
                    await asyncio.gather(*(self._refresh(node) for node in stale[first : first + _AT_ONCE]))
            except ApiError:
                return False
            if stale:
                self._took = self._clock.monotonic() - now
        return True

    async def _refresh(self, node: str) -> None:
        self._held[node] = await self._read(node)
        self._read_at[node] = self._clock.monotonic()

    async def _read(self, node: str) -> list[Holder]:
        held: list[Holder] = []
        for namespace in self._namespaces:
            pods = await self._kube.list_items(
                PODS,
                namespace,
                fieldSelector=f"spec.nodeName={node},status.phase!=Succeeded,status.phase!=Failed",
                resourceVersion="0",
            )
            for pod in pods:
                uid, slices = str(pod["metadata"]["uid"]), held_slices(pod.get("spec") or {})
                if slices and uid not in self._workers:
                    held.append(Holder(uid, slices))
        return held
