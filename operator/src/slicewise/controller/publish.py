"""Publish: what a reconcile did, as Events and metrics. Trouble here is logged and fails no reconcile."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

import structlog

from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import EVENTS
from slicewise.cluster.records import PoolEntry
from slicewise.pool.outcome import Event, PoolPlan
from slicewise.telemetry.events import EventRecorder
from slicewise.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)
_LONGEST_QUEUE: Final = 4096
"""Most Events that wait; beyond that the oldest are dropped."""


class ClusterEvents:
    """`telemetry.events.Sink` on the API server."""

    def __init__(self, kube: KubeApi) -> None:
        self._kube = kube

    async def create(self, body: Mapping[str, Any]) -> bool:
        """Create an Event; False when there is one of that name."""
        try:
            await self._kube.create(EVENTS, body)
        except ApiError as error:
            if error.code == 409:
                return False
            raise
        return True

    async def repeat(self, namespace: str, name: str, patch: Mapping[str, Any]) -> bool:
        """Merge a patch into an Event; False when it has expired."""
        try:
            await self._kube.merge(EVENTS, namespace, name, patch)
        except ApiError as error:
            if error.code == 404:
                return False
            raise
        return True


class Publication:
    """`reconcile.Publisher`: Events to the cluster, counts to the metrics.

    No reconcile waits for its Events: they go out behind it, one at a time, with as long a pause after each as it took. So a
    thousand new pools get their workers first, and their Events a moment later.
    """

    def __init__(self, recorder: EventRecorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics
        self._waiting: deque[tuple[Mapping[str, Any], Event]] = deque(maxlen=_LONGEST_QUEUE)
        self._posting: asyncio.Task[None] | None = None
        self._hurry = False

    def transition(self, stored: Mapping[str, Any], plan: PoolPlan) -> None:
        """See `Publisher.transition`. The log has a line for each Event, also where it has expired or cannot be posted."""
        if plan.ending is not None:
            self._metrics.rollout_ended(plan.ending.outcome, plan.ending.reason, plan.ending.seconds)
        if plan.fallback_switch is not None:
            self._metrics.fallback_switched(plan.fallback_switch)
        name = f"{stored['metadata']['namespace']}/{stored['metadata']['name']}"
        for event in plan.events:
            log.info(event.reason, pool=name, type=event.type, message=event.message)
        self._waiting.extend((_reference(stored), event) for event in plan.events)
        if self._waiting and (self._posting is None or self._posting.done()):
            self._posting = asyncio.create_task(self._post(), name="events")

    def deleted_pods(self, entry: PoolEntry, plan: PoolPlan) -> None:
        """See `Publisher.deleted_pods`."""
        for deletion in plan.deletions:
            log.info("pod removed", pool="/".join(entry.key), pod=deletion.name, reason=deletion.reason)
            self._metrics.pod_removed(deletion.reason)

    async def flush(self, within: float) -> None:
        """Post what waits, without pauses, for at most `within` seconds."""
        self._hurry = True
        if self._posting is not None:
            await asyncio.wait({self._posting}, timeout=within)
            self._posting.cancel()

    async def _post(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            pool, event = self._waiting.popleft()
            began = loop.time()
            try:
                await self._recorder.post(pool, event)
            except ApiError as error:
                log.info("event not posted", reason=event.reason, error=str(error))
            if not self._hurry:
                await asyncio.sleep(loop.time() - began)


def _reference(stored: Mapping[str, Any]) -> dict[str, Any]:
    """What an Event says of the pool it is about."""
    metadata = {key: stored["metadata"][key] for key in ("name", "namespace", "uid", "resourceVersion")}
    return {"apiVersion": stored["apiVersion"], "kind": stored["kind"], "metadata": metadata}
