"""How a gateway pod goes without a failed request.

A pod that has to stop is removed from the Service at the same moment, and others learn of it later: a node with much to do seconds
after the rest. So: take requests until another pod does, and on until no client connects any more; then let clients leave with their
next answer, wait for what runs, and only then end Envoy.
The endpoints are followed until the end. The pod goes on looking ready: where it was the only one, kube-proxy sends to it until
the next is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog

from slicewise_gateway.agent.envoy import EnvoyAdmin, EnvoyError, EnvoyGoneError

log = structlog.get_logger(__name__)

_LOOK_SECONDS = 0.1
_QUIET_SECONDS = 3.0
"""Without a new connection: each client that knew this pod only has heard of its end."""
_QUIT_SECONDS = 5.0
T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """How long each part of a drain may take, in seconds."""

    successor: float
    """Until another pod serves."""
    delay: float
    """It goes on taking connections after that, at least, until others have heard of it."""
    late: float
    """And at most, while new connections come: one that checks its health by itself opens them for ever."""
    running: float
    """What runs then."""


async def drain(envoy: EnvoyAdmin, successor: Awaitable[None], bounds: Bounds) -> None:
    """Drain Envoy and end it. `successor` returns once another pod serves.

    An Envoy that answers late is asked again: its main thread is busy, and its workers go on serving. Only one that refuses the
    connection has ended.
    """
    try:
        await _relieved(successor, bounds.successor)
        log.info("draining: still taking requests", at_least=bounds.delay, at_most=bounds.late)
        await _no_client_connects(envoy, bounds)
        with suppress(TimeoutError):
            async with asyncio.timeout(bounds.running):
                await _insist(envoy.fail_health_check)
                await _insist(envoy.drain)
                while (await _insist(envoy.state)).active_requests > 0:  # noqa: ASYNC110 - Envoy tells only who asks
                    await asyncio.sleep(_LOOK_SECONDS)
                log.info("draining: no request runs any more")
        with suppress(TimeoutError):
            async with asyncio.timeout(_QUIT_SECONDS):
                await _insist(envoy.quit)
    except EnvoyGoneError as error:
        log.warning("draining: Envoy has ended already", error=str(error))


class Arrivals:
    """When the last new connection was seen, from how many there have been; times are seconds of any clock. Pure."""

    def __init__(self) -> None:
        self._count: int | None = None
        self._last = 0.0

    def quiet(self, count: int, now: float) -> float:
        """Take in how many there have been by `now`; return for how long none has come."""
        if count != self._count:
            self._count, self._last = count, now
        return now - self._last


async def _no_client_connects(envoy: EnvoyAdmin, bounds: Bounds) -> None:
    clock, arrivals = asyncio.get_running_loop().time, Arrivals()
    begin = clock()
    with suppress(TimeoutError):
        async with asyncio.timeout(max(bounds.delay, bounds.late)):
            while True:
                quiet = arrivals.quiet((await _insist(envoy.state)).connections, clock())
                left = max(bounds.delay - (clock() - begin), min(_QUIET_SECONDS, bounds.delay) - quiet)
                if left <= 0:
                    return
                await asyncio.sleep(min(left, 0.5))
    log.warning("draining: clients still connect", seconds=bounds.late)


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Return what Envoy answers, however often it has to be asked. Raises EnvoyGoneError."""
    while True:
        try:
            return await ask()
        except EnvoyGoneError:
            raise
        except EnvoyError as error:
            log.info("draining: asking Envoy again", error=str(error))
            await asyncio.sleep(_LOOK_SECONDS)


async def _relieved(successor: Awaitable[None], limit_seconds: float) -> None:
    try:
        async with asyncio.timeout(limit_seconds):
            await successor
    except TimeoutError:
        log.warning("draining: no other gateway pod serves, ending without one", seconds=limit_seconds)
