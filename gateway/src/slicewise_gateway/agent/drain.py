"""How a gateway pod goes without a failed request.

A pod that has to stop is removed from the Service at the same moment, and others learn of it later. So: take requests until
another pod does, and for a while yet; then let clients leave with their next answer, wait for what runs, and only then end Envoy.
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
_QUIT_SECONDS = 5.0
T = TypeVar("T")


@dataclass(frozen=True)
class Bounds:
    """How long each part of a drain may take, in seconds."""

    successor: float
    """Until another pod serves."""
    delay: float
    """It goes on taking connections after that, until everybody has heard of it."""
    running: float
    """What runs then."""


async def drain(envoy: EnvoyAdmin, successor: Awaitable[None], bounds: Bounds) -> None:
    """Drain Envoy and end it. `successor` returns once another pod serves.

    An Envoy that answers late is asked again: its main thread is busy, and its workers go on serving. Only one that refuses the
    connection has ended.
    """
    try:
        await _relieved(successor, bounds.successor)
        log.info("draining: still taking requests", seconds=bounds.delay)
        await asyncio.sleep(bounds.delay)
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
