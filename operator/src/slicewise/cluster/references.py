"""What a pool names and no watch tells of: claims that may be missing, why a claim has no volume, what a pod cannot mount.

Read only while a pool is not as it should be, and then at most every 10 seconds; bounded in number and bytes. Secrets and ConfigMaps of
users are never read: that one is missing, the kubelet says in an Event about the pod that needs it, or in the pod's status.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from slicewise.api.v1alpha1 import InferencePool
from slicewise.clients.clock import Clock
from slicewise.clients.kube import ApiError, KubeApi, Object, OversizedError
from slicewise.clients.resources import CLAIMS, EVENTS
from slicewise.cluster.records import PENDING, PoolEntry, claim_phase
from slicewise.manifests.pod_volumes import cache_claim, source_mounts
from slicewise.objects.events import read_claim_events, read_mount_events
from slicewise.objects.pods import PodRecord
from slicewise.pool.facts import FAILED_MOUNT
from slicewise.pool.observed import PendingClaim, References

REFERENCES_SECONDS: Final = 10.0
"""How long an answer about a claim or a pod stands."""
LONGEST_SECONDS: Final = 60.0
"""After how long, at most, a pod that does not start has its Events read again."""
EVENTS_READ: Final = 20
"""Events about one object that are read at a time; a claim or a starting pod has a handful."""
EVENTS_BYTES: Final = 256 << 10
"""Bytes of their answer, unpacked: some 1 KiB each. Events may be of any size, and whoever may write them is not trusted."""
PODS_READ: Final = 2
"""Pods of a pool whose Events are read: what one lacks, the others lack too; the canary's may lack something else."""
START_SECONDS: Final = 3.0
"""How long a pod may take to start its first container before its Events are read."""


class ReferenceReader:
    """Asks for what a pool names, and for what Events say."""

    def __init__(self, kube: KubeApi, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock

    async def refresh(self, entry: PoolEntry, pool: InferencePool) -> None:
        """Bring what is known up to date, if it is not of a moment ago. Unknown stays as it was."""
        now, claims = self._clock.monotonic(), named_claims(pool)
        if entry.references.claims.keys() == set(claims) and now - entry.looked_at < REFERENCES_SECONDS:
            return
        try:
            entry.references = await self._claims(entry, pool, claims)
            await self._look_at_pods(entry)
        except ApiError:
            return  # the pass finds out by itself whether the API server is there
        entry.looked_at = now

    async def _claims(self, entry: PoolEntry, pool: InferencePool, claims: Iterable[str]) -> References:
        found = {name: await self._kube.get(CLAIMS, entry.namespace, name) for name in claims}
        waiting = {
            name: str(body["metadata"]["uid"])
            for name, body in found.items()
            if body is not None and claim_phase(body) == PENDING
        }
        own = cache_claim(pool)
        child = entry.child(CLAIMS, own) if own is not None and own not in found else None
        if child is not None and child.facts == PENDING and not child.terminating:
            waiting[child.name] = child.uid
        return References(
            claims={name: body is not None for name, body in found.items()},
            waiting=any(name in waiting for name in found),
            pending=await self._why(entry.namespace, waiting),
        )

    async def _why(self, namespace: str, waiting: Mapping[str, str]) -> PendingClaim | None:
        """Return what the cluster says of the first claim of which it says something. `waiting`: name to uid."""
        for name, uid in waiting.items():
            told = read_claim_events(name, await self._events(namespace, CLAIMS.kind, uid), self._clock.now())
            if told is not None:
                return told
        return None

    async def _look_at_pods(self, entry: PoolEntry) -> None:
        """Read what the newest pods that have not started lack: it is the newest revision's that may be new."""
        now = self._clock.now()
        slow = [pod for pod in entry.pods.values() if pod.creating and now - pod.observed.created_at > START_SECONDS]
        for pod in sorted(slow, key=_newest_first)[:PODS_READ]:
            events = await self._events(entry.namespace, "Pod", pod.observed.uid, reason=FAILED_MOUNT)
            pod.lacks = read_mount_events(events, now, pod.lacks)

    async def _events(self, namespace: str, kind: str, uid: str, **fields: str) -> list[Object]:
        """Return the Events about an object; none if they are too large to be read."""
        asked = {"involvedObject.kind": kind, "involvedObject.uid": uid, **fields}
        selector = ",".join(f"{field}={value}" for field, value in asked.items())
        try:
            return await self._kube.list_items(
                EVENTS, namespace, EVENTS_BYTES, fieldSelector=selector, limit=str(EVENTS_READ)
            )
        except OversizedError:
            return []


def _newest_first(pod: PodRecord) -> tuple[float, str]:
    return -pod.observed.created_at, pod.observed.name


def next_events(entry: PoolEntry, now: float) -> list[float]:
    """Return the seconds until Events are to be read again; None if nothing waits for what they say. `now`: since the epoch.

    A claim's are read every ten seconds. A pod's too at first, then ever less often: the watch reports that it starts.
    """
    waits = [REFERENCES_SECONDS] if _claim_waits(entry) else []
    ages = [now - pod.observed.created_at for pod in entry.pods.values() if pod.creating]
    return waits + [min(LONGEST_SECONDS, max(REFERENCES_SECONDS, age / 4)) for age in ages]


def pending_claim(entry: PoolEntry) -> PendingClaim | None:
    """Return the claim in trouble as it was last read, unless it is one of the operator's own that the watch has reported bound since."""
    pending = entry.references.pending
    child = None if pending is None else entry.child(CLAIMS, pending.name)
    return None if child is not None and child.facts != PENDING else pending


def _claim_waits(entry: PoolEntry) -> bool:
    """Whether a claim of the pool has no volume: the reason is in Events, which are not watched."""
    own = any(
        child.resource is CLAIMS and child.facts == PENDING and child.owner == entry.uid for child in entry.children
    )
    return own or entry.references.waiting


def named_claims(pool: InferencePool) -> tuple[str, ...]:
    """Return the claims that a spec names; one that the operator makes is not among them."""
    persistent = pool.spec.cache.persistent_volume_claim
    claims = (persistent.claim_name if persistent else None, *(mount.claim for mount in source_mounts(pool)))
    return tuple(dict.fromkeys(name for name in claims if name))
