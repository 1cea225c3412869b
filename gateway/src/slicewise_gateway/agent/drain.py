"""How a gateway pod goes without a failed request.

A pod that is told to stop is taken from the Service at the same moment, and others learn of it later. So: take requests for a
while yet, then let clients leave with their next answer, wait for what runs, and only then end Envoy. The endpoints are followed
until the end. For that while the pod goes on looking ready: where it was the only one, kube-proxy sends to it until the next is there.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from slicewise_gateway.agent.envoy import EnvoyAdmin, EnvoyError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1


async def drain(envoy: EnvoyAdmin, delay_seconds: float, limit_seconds: float) -> None:
    """Drain Envoy and end it. `delay_seconds` it goes on taking connections; `limit_seconds` bound what runs after that."""
    try:
        log.info("draining: taking requests for another %g s", delay_seconds)
        await asyncio.sleep(delay_seconds)
        await envoy.fail_health_check()
        await envoy.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                while (running := (await envoy.state()).active_requests) > 0:  # noqa: ASYNC110 - Envoy tells only who asks
                    await asyncio.sleep(_LOOK_SECONDS)
                log.info("draining: %d requests run", running)
        await envoy.quit()
    except EnvoyError as error:
        log.warning("Envoy is gone already: %s", error)
