"""Measure the load: read gateway and workers of a pool whose workers follow the load, once a second, and of no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from slicewise.autoscaling.window import Load
from slicewise.clients.bounded import at_most
from slicewise.clients.clock import Clock
from slicewise.clients.gateways import Gateways
from slicewise.clients.workers import Workers
from slicewise.cluster.gateway_pods import GatewayRecord
from slicewise.cluster.load import LoadMeter
from slicewise.cluster.records import PoolEntry

_ASKED_AT_ONCE: Final = 16
"""Pods of one pool and kind that are read at the same time, which bounds the memory that their answers take."""


def offer_load(entry: PoolEntry, stored: Mapping[str, Any], now: float) -> Load:
    """Return what is known of the pool's load. `stored`: the pool; `now`: monotonic seconds."""
    spec = stored.get("spec") or {}
    if not spec.get("autoscaling") or spec.get("suspend") or spec.get("replicas") == 0:
        entry.load = None
        return Load()
    if entry.load is None:
        entry.load = LoadMeter()
    return entry.load.load(now)


def requests_of(entry: PoolEntry, uid: str, now: float) -> int | None:
    """Return the requests of the worker of that uid; None where they are not counted. `now`: monotonic seconds."""
    return None if entry.load is None else entry.load.requests_of(uid, now)


async def measure_load(
    entry: PoolEntry, gateways: Gateways, workers: Workers, clock: Clock, lost: Callable[[GatewayRecord], bool]
) -> None:
    """Read every ready pod of the pool, if its load matters and the last reading is a second old."""
    meter = entry.load
    if meter is None or not meter.is_due(clock.monotonic()):
        return
    serving = {uid: pod.address for uid, pod in entry.pods.items() if pod.container and pod.address}
    here = {
        uid: pod.address for uid, pod in entry.gateway_pods.items() if pod.container and pod.address and not lost(pod)
    }
    outside, inside = await asyncio.gather(
        at_most(_ASKED_AT_ONCE, [gateways.in_flight(address) for address in here.values()]),
        at_most(_ASKED_AT_ONCE, [workers.load(address) for address in serving.values()]),
    )
    meter.add(
        dict(zip(here, outside, strict=True)),
        dict(zip(serving, inside, strict=True)),
        clock.monotonic(),
        asleep=entry.scaled is not None and entry.scaled.acts and entry.scaled.desired == 0,
    )
