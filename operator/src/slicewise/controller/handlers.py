"""kopf: which resources are watched, and event handlers that hand each event on.

Only `on.event` handlers: with those kopf writes nothing at all (no annotation, no finalizer, no status). The settings here
make it list in pages, watch our label only, retry forever, and keep no memory of objects. Why kopf, and what is replaced: ADR 1.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import aiohttp
import kopf
from kopf._cogs.configs.diffbase import DiffBaseStorage
from kopf._cogs.structs.bodies import BodyEssence
from kopf._core.reactor.inventory import ResourceMemories, ResourceMemory

from slicewise.api.labels import MANAGED_SELECTOR
from slicewise.clients.resources import CHILD_KINDS, PODS, WATCHED, Resource

Take = Callable[[Resource, str | None, Mapping[str, Any]], None]
"""`(resource, type of event, object)`; type None: from a list."""
OpenSession = Callable[[], tuple[str, aiohttp.ClientSession]]
"""Returns the server's URL and a new authorized session; kopf closes it."""


class Endless:
    """Back-off of kopf's requests, in seconds. It starts over at each iteration and never ends."""

    def __iter__(self) -> Iterator[float]:
        """Yield 0.5, 1, 2, 4, 5, 5, 5, …"""
        wait = 0.5
        while True:
            yield wait
            wait = min(5.0, wait * 2)


class NoMemories(ResourceMemories):
    """Replaces kopf's memory of objects, which event handlers do not need: a fresh one each time, none kept."""

    async def recall(self, *args: Any, **kwargs: Any) -> ResourceMemory:
        """Return a memory that is not remembered."""
        kwargs["ephemeral"] = True
        return await super().recall(*args, **kwargs)


class NoDiffBase(DiffBaseStorage):
    """Replaces kopf's record of what changed, which event handlers do not need; the default copies each object whole."""

    def build(self, **_: Any) -> BodyEssence:
        """Return an empty essence."""
        return BodyEssence()

    def fetch(self, **_: Any) -> BodyEssence | None:
        """Return nothing: nothing was stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


def kopf_settings(page_size: int) -> kopf.OperatorSettings:
    """Return kopf's settings. `page_size`: objects in one page of a list."""
    settings = kopf.OperatorSettings()
    settings.peering.standalone = True
    settings.posting.enabled = False
    settings.scanning.disabled = True  # a watch on every CRD and namespace would tell nothing that matters
    settings.networking.error_backoffs = Endless()
    settings.networking.request_timeout = 60
    settings.networking.connect_timeout = 5
    settings.watching.connect_timeout = 5
    settings.watching.inactivity_timeout = 70
    settings.watching.reconnect_backoff = 0.5
    settings.watching.chunk_size = page_size
    settings.queueing.idle_timeout = 0.05  # the worker of an object holds its last event until it ends
    settings.queueing.exit_timeout = 1
    settings.process.ultimate_exiting_timeout = None
    settings.persistence.diffbase_storage = NoDiffBase()
    for resource in (PODS, *CHILD_KINDS):
        settings.watching.label_selectors[_selector(resource)] = MANAGED_SELECTOR
    return settings


def kopf_registry(take: Take, open_session: OpenSession) -> kopf.OperatorRegistry:
    """Return the handlers: one per watched resource, and the login."""
    registry = kopf.OperatorRegistry()
    for resource in WATCHED:
        _register(registry, resource, take)
    logins = 0

    @kopf.on.login(registry=registry, id="login", errors=kopf.ErrorsMode.TEMPORARY, backoff=1)
    async def login(**_: Any) -> kopf.AiohttpSession:
        nonlocal logins
        if logins:
            await asyncio.sleep(min(5, logins))  # the server took no credentials: not a reason to hammer it
        logins += 1
        server, session = open_session()
        return kopf.AiohttpSession(server=server, aiohttp_session=session)

    return registry


def _register(registry: kopf.OperatorRegistry, resource: Resource, take: Take) -> None:
    @kopf.on.event(resource.group, resource.version, resource.plural, registry=registry, id=resource.plural)
    async def handle(event: Mapping[str, Any], **_: Any) -> None:
        take(resource, event["type"], event["object"])


def _selector(resource: Resource) -> tuple[str, str, str]:
    return resource.group, resource.version, resource.plural
