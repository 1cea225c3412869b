"""Intake: events into the cache and out as flags; and when the cache is complete for the first time.

Passes must not begin before every watched collection was listed once and every listed object has come through its handler:
a plan over half a cache would prune and create at random.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from slicewise.clients.resources import POOLS, WATCHED, Resource
from slicewise.controller.cache import Cache, Key
from slicewise.controller.wake import WakeQueue
from slicewise.telemetry.health import WatchLife

log = structlog.get_logger(__name__)


class Intake:
    """Takes in what kopf's handlers and HTTP session bring."""

    def __init__(self, cache: Cache, queue: WakeQueue, life: WatchLife, namespaces: tuple[str, ...]) -> None:
        """`namespaces`: those that are watched; empty: all."""
        self._cache = cache
        self._queue = queue
        self._life = life
        self._scopes = {
            resource.path(namespace): (resource, namespace)
            for resource in WATCHED
            for namespace in (namespaces if resource.namespaced and namespaces else (None,))
        }
        self._restricted = bool(namespaces)
        self._unlisted = set(self._scopes)
        self._pending: dict[str, set[str]] = {}
        self.complete = asyncio.Event()
        """Set once every collection was listed and taken in."""

    def begin(self) -> None:
        """Begin to count the watches' signs of life."""
        self._life.expect(self._scopes)

    def take(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event. `kind`: ADDED, MODIFIED, DELETED, or None for an object of a list."""
        self._wake(self._cache.ingest(resource, body, deleted=kind == "DELETED"), urgent=resource is POOLS)
        if self._pending:
            namespace = body["metadata"].get("namespace") if self._restricted and resource.namespaced else None
            path = resource.path(namespace)
            waiting = self._pending.get(path)
            if waiting is not None:
                waiting.discard(body["metadata"]["uid"])
                self._settle(path)

    def alive(self, path: str) -> None:
        """See `StreamObserver.alive`."""
        self._life.mark(path)

    def listed(self, path: str, resource_version: str, uids: frozenset[str]) -> None:
        """See `StreamObserver.listed`: forget what vanished while nobody was looking."""
        if path not in self._scopes:
            return
        resource, namespace = self._scopes[path]
        self._wake(self._cache.retain(resource, namespace, int(resource_version or 0), uids), urgent=resource is POOLS)
        if path in self._unlisted:
            self._pending[path] = set(uids)
            self._unlisted.discard(path)
            self._settle(path)

    def writes_in_flight(self) -> bool:
        """See `StreamObserver.writes_in_flight`."""
        return self._cache.in_flight > 0

    def is_echo(self, resource_version: str) -> bool:
        """See `StreamObserver.is_echo`."""
        return self._cache.is_echo(resource_version)

    def missing(self) -> str | None:
        """Return what is still waited for, or None."""
        if self.complete.is_set():
            return None
        paths = sorted(self._unlisted | set(self._pending))
        return f"not all objects have been read yet: {', '.join(paths)}"

    def _settle(self, path: str) -> None:
        if not self._pending[path]:
            del self._pending[path]
        if not self._pending and not self._unlisted and not self.complete.is_set():
            log.info("cache complete", pools=len(list(self._cache.existing())))
            self.complete.set()

    def _wake(self, keys: Iterable[Key], *, urgent: bool) -> None:
        for key in keys:
            self._queue.wake(key, urgent=urgent)
