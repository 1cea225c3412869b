"""Kubernetes Events about pools: one a transition, said again only as a count.

An Event's name is a hash of what it says, so the same sentence about the same pool is the same object: a repetition raises
its count instead of adding another. Posting never fails a reconcile.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from slicewise.pool.outcome import Event

QUIET_SECONDS: Final = 600.0
"""The latest sentence for a reason is not said again within this time."""
_REMEMBERED: Final = 4096
_LONGEST: Final = 1000


class Sink(Protocol):
    """Where Events go. Returns False when an Event of that name is there already (`create`) or not (`repeat`)."""

    async def create(self, body: Mapping[str, Any]) -> bool:
        """Create an Event."""

    async def repeat(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        """Merge a patch into an Event."""


class EventRecorder:
    """Posts the Events of reconciles."""

    def __init__(self, sink: Sink, now: Callable[[], float], instance: str) -> None:
        """`now`: seconds since the epoch; `instance`: name of this replica."""
        self._sink = sink
        self._now = now
        self._instance = instance
        self._said: dict[int, tuple[int, float]] = {}
        """Hash of uid of the pool and reason → hash of what was said last, and when."""
        self._counts: dict[int, int] = {}
        """Hash of an Event's name → how often it was said."""

    async def post(self, pool: Mapping[str, Any], event: Event) -> None:
        """Post an Event about a pool (an object of the API server), unless it has just been said."""
        uid, now = pool["metadata"]["uid"], self._now()
        topic, said = hash((uid, event.reason)), hash(event.message)
        last, when = self._said.get(topic, (0, 0.0))
        if last == said and now - when < QUIET_SECONDS:
            return
        _remember(self._said, topic, (said, now))
        body = self._body(pool, event, now)
        name = body["metadata"]["name"]
        key = hash((uid, name))
        if key not in self._counts and await self._sink.create(body):
            _remember(self._counts, key, 1)
            return
        count = self._counts.get(key, 1) + 1
        _remember(self._counts, key, count)
        again = {"count": count, "lastTimestamp": body["lastTimestamp"]}
        if not await self._sink.repeat(body["metadata"]["namespace"], name, again):
            _remember(self._counts, key, 1)
            await self._sink.create(body)

    def _body(self, pool: Mapping[str, Any], event: Event, now: float) -> dict[str, Any]:
        metadata = pool["metadata"]
        said = f"{metadata['uid']} {event.type} {event.reason} {event.message}"
        stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {
                "name": f"{metadata['name']}.{hashlib.blake2b(said.encode(), digest_size=8).hexdigest()}",
                "namespace": metadata["namespace"],
            },
            "involvedObject": {
                "apiVersion": pool["apiVersion"],
                "kind": pool["kind"],
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
                "resourceVersion": metadata["resourceVersion"],
            },
            "type": event.type,
            "reason": event.reason,
            "message": event.message[:_LONGEST],
            "source": {"component": "slicewise-operator"},
            "reportingComponent": "slicewise-operator",
            "reportingInstance": self._instance,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "count": 1,
        }


def _remember(memory: dict[Any, Any], key: Any, value: Any) -> None:
    memory.pop(key, None)
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
