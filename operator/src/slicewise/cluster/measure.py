"""Measure: read the gateway's pods of a pool whose canary is judged, and of no other. The meter keeps and subtracts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from slicewise.api.duration import duration_seconds
from slicewise.api.v1alpha1 import InferencePool
from slicewise.api.v1alpha1.gateway import GatewayLimits, GatewaySpec
from slicewise.api.v1alpha1.rollout import CanarySpec
from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.clients.bounded import at_most
from slicewise.clients.clock import Clock
from slicewise.clients.gateways import Gateways
from slicewise.cluster.gateway_pods import GatewayRecord
from slicewise.cluster.meter import Meter, about_of
from slicewise.cluster.records import PoolEntry
from slicewise.envoy.outcomes import limit_seconds
from slicewise.pool.rollout.verdict_record import Measured

LOOK_SECONDS: Final = 0.8
"""Least seconds between two readings; a pool that is judged is reconciled once a second."""
_ASKED_AT_ONCE: Final = 16
"""Gateway pods of one pool that are read at the same time, which bounds the memory that their answers take."""


def offer(entry: PoolEntry, status: PoolStatus) -> Measured:
    """Return what was counted for the pool since `status` was written."""
    if about_of(status) is None:
        entry.meter = None
        return Measured()
    if entry.meter is None:
        entry.meter = Meter()
    return entry.meter.offer(status)


async def measure(
    entry: PoolEntry,
    pool: InferencePool,
    gateways: Gateways,
    clock: Clock,
    lost: Callable[[GatewayRecord], bool],
) -> None:
    """Read every ready gateway pod that is not lost with its node, if a canary is judged and the last reading is a second old."""
    meter, canary = entry.meter, pool.spec.rollout.canary
    if meter is None or canary is None or not meter.revisions.stable or not meter.revisions.canary:
        return
    if meter.looked_at is not None and clock.monotonic() - meter.looked_at < LOOK_SECONDS:
        return
    limit = _limit(pool, canary)
    here = {uid: pod for uid, pod in entry.gateway_pods.items() if pod.container and pod.address and not lost(pod)}
    pods = {uid: pod.address for uid, pod in here.items()}
    asked = clock.monotonic()
    answers = await at_most(_ASKED_AT_ONCE, [gateways.counters(address, limit) for address in pods.values()])
    said = dict(zip(pods, answers, strict=True))
    meter.add(said, meter.revisions.stable, meter.revisions.canary, clock.monotonic(), asked=asked, limit=limit)


def _limit(pool: InferencePool, canary: CanarySpec) -> float:
    """Return the limit that the gateway is configured to count by."""
    p95 = duration_seconds(canary.p95) if canary.p95 is not None else None
    limits = (pool.spec.gateway or GatewaySpec()).limits or GatewayLimits()
    return limit_seconds(p95, duration_seconds(limits.request_timeout))
