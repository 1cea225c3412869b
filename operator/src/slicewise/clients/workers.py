"""What worker pods say of themselves over HTTP: progress of the weights, where the model computes, and what they have counted.

Called by the observing step and by the costing, only for pods of which the answer matters now. Whoever does not answer within a
second is `None`: unknown, never a zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from slicewise.api.bounds import count, json_object, line, word
from slicewise.api.ports import FETCH_PORT, WORKER_PORT
from slicewise.clients.bounded import Unreadable, get_text
from slicewise.clients.worker_counts import parse_counts
from slicewise.cost.work import WorkerCounts
from slicewise.pool.observed import FetchProgress
from slicewise.pool.said import WorkerInfo, read_needs

_LIMIT: Final = 64 * 1024
"""Bytes read of an answer; a worker is not trusted with more of the operator's memory."""
_METRICS_LIMIT: Final = 128 * 1024
"""Bytes read of its metrics: with 52 tenants of the longest names they have about 45 KiB."""


@dataclass(frozen=True, slots=True)
class WorkerLoad:
    """The requests of one worker."""

    running: int
    waiting: int
    ended: int = 0
    """Since it started."""


class Workers(Protocol):
    """What the observing step asks of pods."""

    async def fetch_progress(self, address: str) -> FetchProgress | None:
        """Return what the `fetch` container of the pod with that IP address says."""

    async def worker_info(self, address: str) -> WorkerInfo | None:
        """Return what the `worker` container of the pod with that IP address says."""

    async def load(self, address: str) -> WorkerLoad | None:
        """Return how many requests the `worker` container of the pod with that IP address has."""

    async def counts(self, address: str) -> WorkerCounts | None:
        """Return what the `worker` container of the pod with that IP address has counted since its start."""


class HttpWorkers:
    """`Workers` over HTTP. `timeout` in seconds bounds a whole exchange."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        timeout: float = 1.0,
        *,
        fetch_port: int = FETCH_PORT,
        worker_port: int = WORKER_PORT,
    ) -> None:
        self._session = session
        self._timeout = timeout
        self._fetch_port = fetch_port
        self._worker_port = worker_port

    async def fetch_progress(self, address: str) -> FetchProgress | None:
        """See `Workers.fetch_progress`."""
        answer = await self._get(address, self._fetch_port, "/progress")
        if answer is None:
            return None
        return FetchProgress(
            bytes_done=count(answer.get("bytes_done")) or 0,
            bytes_total=count(answer.get("bytes_total")),
            reason=word(answer.get("reason")),
            message=line(answer.get("message")),
            done=answer.get("done") is True,
        )

    async def worker_info(self, address: str) -> WorkerInfo | None:
        """See `Workers.worker_info`."""
        answer = await self._get(address, self._worker_port, "/v1/worker")
        if answer is None or not isinstance(answer.get("device"), str):
            return None
        return WorkerInfo(
            device=line(answer["device"], 64),
            on_gpu=answer.get("on_gpu") is True,
            context_tokens=count(answer.get("context_tokens")),
            parallel_sequences=count(answer.get("parallel_sequences")),
            needs=read_needs(answer.get("memory"), on_gpu=answer.get("on_gpu")),
        )

    async def load(self, address: str) -> WorkerLoad | None:
        """See `Workers.load`. A worker of a version that does not say it is unknown, as one that does not answer."""
        answer = await self._get(address, self._worker_port, "/v1/worker")
        said = (answer or {}).get("requests")
        if not isinstance(said, dict):
            return None
        running, waiting = count(said.get("running")), count(said.get("waiting"))
        if running is None or waiting is None:
            return None
        return WorkerLoad(running, waiting, count(said.get("ended")) or 0)

    async def counts(self, address: str) -> WorkerCounts | None:
        """See `Workers.counts`."""
        url = URL.build(scheme="http", host=address, port=self._worker_port, path="/metrics")
        text = await get_text(self._session, url, limit=_METRICS_LIMIT, seconds=self._timeout)
        return None if isinstance(text, Unreadable) else parse_counts(text)

    async def _get(self, address: str, port: int, path: str) -> dict[str, Any] | None:
        url = URL.build(scheme="http", host=address, port=port, path=path)
        text = await get_text(self._session, url, limit=_LIMIT, seconds=self._timeout)
        return None if isinstance(text, Unreadable) else json_object(text)
