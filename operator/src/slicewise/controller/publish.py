"""Publish: what a pass did, as Events and metrics. Trouble here is logged and ends no pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import structlog

from slicewise.clients.kube import ApiError, KubeApi
from slicewise.clients.resources import EVENTS
from slicewise.controller.records import PoolEntry
from slicewise.pool.outcome import Event, PoolPlan
from slicewise.telemetry.events import EventRecorder
from slicewise.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


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
    """`reconcile.Publisher`: Events to the cluster, counts to the metrics."""

    def __init__(self, recorder: EventRecorder, metrics: Metrics) -> None:
        self._recorder = recorder
        self._metrics = metrics

    async def transition(self, stored: Mapping[str, Any], events: Sequence[Event]) -> None:
        """See `Publisher.transition`."""
        for event in events:
            try:
                await self._recorder.post(stored, event)
            except ApiError as error:
                log.info("event not posted", reason=event.reason, error=str(error))
                return

    def deleted_pods(self, entry: PoolEntry, plan: PoolPlan) -> None:
        """See `Publisher.deleted_pods`."""
        for deletion in plan.deletions:
            log.info("pod removed", pool="/".join(entry.key), pod=deletion.name, reason=deletion.reason)
            self._metrics.pod_removed(deletion.reason)
