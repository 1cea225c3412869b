"""Takes events into the cache and queues the pools that they concern; knows when the cache is complete for the first time.

Reconciling must not begin before every watched collection was listed once: a plan over half a cache would prune and create at
random.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from slicewise.clients.resources import POOLS, WATCHED, Resource
from slicewise.cluster.cache import Cache, Key
from slicewise.controller.work_queue import WorkQueue
from slicewise.telemetry.health import WatchLife

log = structlog.get_logger(__name__)


class Intake:
    """Takes in what kopf's handlers and HTTP session bring."""

    def __init__(self, cache: Cache, queue: WorkQueue, life: WatchLife, namespaces: tuple[str, ...]) -> None:
        """`namespaces`: those that are watched; empty: all."""
        self._cache = cache
        self._queue = queue
        self._life = life
        self._scopes = {
            resource.path(namespace): (resource, namespace)
            for resource in WATCHED
            for namespace in (namespaces if resource.namespaced and namespaces else (None,))
        }
        self._unlisted = set(self._scopes)
        self._forbidden: set[str] = set()
        self.complete = asyncio.Event()
        """Set once every collection was listed and taken in."""

    def begin(self) -> None:
        """Begin to count the watches' signs of life."""
        self._life.expect(self._scopes)

    def take(self, resource: Resource, kind: str | None, body: Mapping[str, Any]) -> None:
        """Take in an event. `kind`: ADDED, MODIFIED, DELETED, or None for an object of a list."""
        keys = self._cache.ingest(resource, body, deleted=kind == "DELETED")
        self._wake(keys, urgent=resource is POOLS and kind is not None)

    def alive(self, path: str) -> None:
        """See `StreamObserver.alive`."""
        self._life.mark(path)

    def item(self, path: str, body: dict[str, Any]) -> None:
        """See `StreamObserver.item`."""
        if path in self._scopes:
            resource, _ = self._scopes[path]
            # The API server leaves these out in lists of its own kinds.
            body["apiVersion"], body["kind"] = resource.api_version, resource.kind
            self.take(resource, None, body)

    def listed(self, path: str, resource_version: str, uids: set[str]) -> None:
        """See `StreamObserver.listed`: drop what vanished while the watch was broken."""
        if path not in self._scopes:
            return
        resource, namespace = self._scopes[path]
        self._wake(self._cache.retain(resource, namespace, int(resource_version or 0), uids), urgent=resource is POOLS)
        self._unlisted.discard(path)
        if path in self._forbidden:
            self._forbidden.discard(path)
            self._wake((key for key in self._cache.existing() if key[0] == namespace), urgent=True)
        self._settle()

    def forbidden(self, path: str) -> None:
        """See `StreamObserver.forbidden`: a namespace that may not be read is not served, and holds up no other."""
        if path in self._unlisted and path not in self._forbidden:
            log.warning(
                "reading is forbidden: grant list and watch, or take the namespace out of watchNamespaces", path=path
            )
            self._forbidden.add(path)
            self._settle()

    def writes_in_flight(self) -> bool:
        """See `StreamObserver.writes_in_flight`."""
        return self._cache.in_flight > 0

    def is_echo(self, resource_version: str) -> bool:
        """See `StreamObserver.is_echo`."""
        return self._cache.is_echo(resource_version)

    def readable(self, namespace: str) -> bool:
        """Whether everything about the pools of a namespace could be read."""
        return all(self._scopes[path][1] not in {namespace, None} for path in self._forbidden)

    def missing(self) -> str | None:
        """Return what is still waited for, or None."""
        if self.complete.is_set():
            return None
        return f"not all objects have been read yet: {', '.join(sorted(self._unlisted))}"

    def _settle(self) -> None:
        if self.complete.is_set():
            return
        skipped = {path for path in self._forbidden if self._scopes[path][1] is not None}
        if self._unlisted <= skipped:
            log.info("cache complete", pools=len(list(self._cache.existing())))
            self.complete.set()

    def _wake(self, keys: Iterable[Key], *, urgent: bool) -> None:
        for key in keys:
            self._queue.add(key, urgent=urgent)
