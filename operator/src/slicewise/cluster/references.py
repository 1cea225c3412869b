"""What a pool names and no watch tells of: claims and Secrets that may be missing, and why a claim has no volume.

Read only while a pool is not as it should be, and then at most every 10 seconds; bounded in number and length.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from slicewise.api.bounds import line, word
from slicewise.api.v1alpha1 import InferencePool
from slicewise.clients.clock import Clock
from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import CLAIMS, EVENTS, SECRETS, Resource
from slicewise.cluster.records import PENDING, PoolEntry, claim_phase
from slicewise.manifests.pod_volumes import cache_claim, source_claim
from slicewise.objects.pods import timestamp
from slicewise.pool.observed import PendingClaim, References

REFERENCES_SECONDS: Final = 10.0
"""How long an answer about a claim or a Secret stands."""
EVENTS_READ: Final = 20
"""Events about one object that are read at a time; a claim has a handful."""
NEWS_SECONDS: Final = 600.0
"""How old an Event may be. What goes on failing is said again within five minutes."""
PATIENCE_SECONDS: Final = 300.0
"""How long a provisioner may take before its silence counts as trouble."""
_TELLING: Final = ("FailedBinding", "ExternalProvisioning")
"""Ordinary Events about a claim that say what it lacks; most telling first, and behind any warning. What is not among them, such as
WaitForFirstConsumer, is no trouble."""


class ReferenceReader:
    """Asks for what a pool names."""

    def __init__(self, kube: KubeApi, clock: Clock) -> None:
        self._kube = kube
        self._clock = clock

    async def look(self, entry: PoolEntry, pool: InferencePool) -> None:
        """Bring `entry.references` up to date, if they are not of a moment ago. Unknown stays as it was."""
        now = self._clock.monotonic()
        claims, secrets = named_references(pool)
        known = entry.references
        same = known.secrets.keys() == set(secrets) and known.claims.keys() == set(claims)
        if same and now - entry.looked_at < REFERENCES_SECONDS:
            return
        try:
            entry.references = await self._read(entry, pool, claims, secrets)
        except ApiError:
            return  # the pass finds out by itself whether the API server is there
        entry.looked_at = now

    async def _read(
        self, entry: PoolEntry, pool: InferencePool, claims: Iterable[str], secrets: Iterable[str]
    ) -> References:
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
            secrets={name: await self._exists(SECRETS, entry.namespace, name) for name in secrets},
        )

    async def _exists(self, resource: Resource, namespace: str, name: str) -> bool:
        return await self._kube.get(resource, namespace, name) is not None

    async def _why(self, namespace: str, waiting: Mapping[str, str]) -> PendingClaim | None:
        """Return what the cluster says of the first claim of which it says something. `waiting`: name to uid."""
        for name, uid in waiting.items():
            selector = f"involvedObject.kind=PersistentVolumeClaim,involvedObject.uid={uid}"
            events = await self._kube.list_items(EVENTS, namespace, fieldSelector=selector, limit=str(EVENTS_READ))
            told = read_claim_events(name, events, self._clock.now())
            if told is not None:
                return told
        return None


def read_claim_events(name: str, events: Iterable[Mapping[str, Any]], now: float) -> PendingClaim | None:
    """Return what Events say of a claim without a volume; None where they say nothing of trouble."""
    found = [(_rank(event), _last(event), event) for event in events if now - _last(event) < NEWS_SECONDS]
    telling = [entry for entry in found if entry[0] is not None]
    if not telling:
        return None
    _, _, event = min(telling, key=lambda entry: (entry[0], -entry[1]))
    reason = word(event.get("reason")) or "Unknown"
    first = timestamp(event.get("firstTimestamp")) or _last(event)
    overdue = reason == "ExternalProvisioning" and now - first > PATIENCE_SECONDS
    return PendingClaim(name, reason, line(event.get("message")), overdue)


def _rank(event: Mapping[str, Any]) -> int | None:
    """0 is what tells most; None tells of no trouble."""
    if event.get("type") == "Warning":
        return 0
    reason = event.get("reason")
    return 1 + _TELLING.index(reason) if reason in _TELLING else None


def _last(event: Mapping[str, Any]) -> float:
    """When an Event was last said, in seconds since the epoch."""
    series = event.get("series") or {}
    said = (series.get("lastObservedTime"), event.get("lastTimestamp"), event.get("eventTime"))
    return max(timestamp(text) for text in said)


def claim_waits(entry: PoolEntry) -> bool:
    """Whether a claim of the pool has no volume: why, is told by Events, which are not watched."""
    own = any(
        child.resource is CLAIMS and child.facts == PENDING and child.owner == entry.uid for child in entry.children
    )
    return own or entry.references.waiting


def named_references(pool: InferencePool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the claims and the Secrets that a spec names; a claim that the operator makes is not among them."""
    persistent = pool.spec.cache.persistent_volume_claim
    claims = (persistent.claim_name if persistent else None, source_claim(pool))
    gateway = pool.spec.gateway
    cache = gateway.response_cache if gateway else None
    secrets = (
        pool.spec.model.credentials_secret_ref,
        gateway.tenant_keys_secret_ref if gateway else None,
        cache.redis_secret_ref if cache else None,
    )
    shaped = [name for name, _ in pool.spec.worker.secrets] if pool.spec.worker else []
    named = (*(secret.name for secret in secrets if secret is not None), *shaped)
    return tuple(dict.fromkeys(name for name in claims if name)), tuple(dict.fromkeys(named))
