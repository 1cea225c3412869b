"""Who serves the pool's clients once this gateway pod is gone: another one behind the same Service."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, Final

import aiohttp
import structlog

from slicewise_gateway.agent.endpoints import SERVICE_LABEL
from slicewise_gateway.agent.kube import ApiServer
from slicewise_gateway.logs import error_text

log = structlog.get_logger(__name__)

_LOOK_SECONDS: Final = 0.5
_ANSWER_SECONDS: Final = 5
_GONE: Final = frozenset({401, 403, 404})
"""Answers of an API server that has deleted this pod's rights: the pool itself is going. One alone is no proof: a new
token, or an API server that has just started, gives such answers for a moment."""
_SURE_SECONDS: Final = 5.0


class Refusals:
    """Whether the rights of this pod are gone: refused for several seconds without another answer between. Pure."""

    def __init__(self) -> None:
        self._since: float | None = None

    def answered(self, status: int | None, now: float) -> bool:
        """Take in an answer at `now` (seconds of any clock), None for none that says so; return whether to believe it."""
        if status not in _GONE:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= _SURE_SECONDS


def is_served(slices: Iterable[Mapping[str, Any]], pod: str) -> bool:
    """Whether a pod other than `pod` takes connections behind these EndpointSlices, or the Service has none: it is deleted."""
    found = list(slices)
    return not found or any(
        # Not said means ready, says the API.
        (conditions := endpoint.get("conditions") or {}).get("ready") is not False
        and not conditions.get("terminating")
        and (endpoint.get("targetRef") or {}).get("name") != pod
        for one in found
        for endpoint in one.get("endpoints") or ()
    )


def is_ending(namespace: Mapping[str, Any]) -> bool:
    """Whether a namespace is being deleted. Its pods go first, and rights and Services with the last of them, so no successor will come."""
    return bool((namespace.get("metadata") or {}).get("deletionTimestamp"))


async def successor(server: ApiServer, namespace: str, service: str, pod: str) -> None:
    """Return once another pod serves, or if none will come. An API server that does not answer is asked again."""
    home = f"{server.url}/api/v1/namespaces/{namespace}"
    url = f"{server.url}/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"
    selector = {"labelSelector": f"{SERVICE_LABEL}={service}"}
    refusals, clock = Refusals(), asyncio.get_running_loop().time
    async with server.session() as session:
        while True:
            try:
                if is_ending(await _namespace(server, session, home)):
                    log.info("no other gateway pod will come: the namespace is being deleted")
                    return
                found = await server.get(session, url, selector, _ANSWER_SECONDS)
                if is_served(found.get("items") or (), pod):
                    return
                refusals.answered(None, clock())
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                status = error.status if isinstance(error, aiohttp.ClientResponseError) else None
                if refusals.answered(status, clock()):
                    log.info("no other gateway pod will come: the API server refuses this one")
                    return
                log.debug("other gateway pods not known", error=error_text(error))
            await asyncio.sleep(_LOOK_SECONDS)


async def _namespace(server: ApiServer, session: aiohttp.ClientSession, url: str) -> Mapping[str, Any]:
    """Return the namespace; nothing of it where an older role of the installation does not let this agent read it."""
    try:
        return await server.get(session, url, {}, _ANSWER_SECONDS)
    except aiohttp.ClientResponseError as error:
        if error.status == HTTPStatus.FORBIDDEN:
            return {}
        raise
