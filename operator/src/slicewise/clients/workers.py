"""What worker pods say of themselves over HTTP: progress of the weights, and where the model computes.

Called by the observing step, only for pods of which the answer matters now. Whoever does not answer within a second is
`None`: unknown, never a zero.
"""

from __future__ import annotations

from typing import Any, Final, Protocol

import aiohttp
from yarl import URL

from slicewise.api.bounds import count, json_object, line, word
from slicewise.api.ports import FETCH_PORT, WORKER_PORT
from slicewise.clients.bounded import Unreadable, get_text
from slicewise.pool.observed import FetchProgress, WorkerInfo

_LIMIT: Final = 64 * 1024
"""Bytes read of an answer; a worker is not trusted with more of the operator's memory."""


class Workers(Protocol):
    """What the observing step asks of pods."""

    async def fetch_progress(self, address: str) -> FetchProgress | None:
        """Return what the `fetch` container of the pod with that IP address says."""

    async def worker_info(self, address: str) -> WorkerInfo | None:
        """Return what the `worker` container of the pod with that IP address says."""


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
        return WorkerInfo(device=line(answer["device"], 64), on_gpu=answer.get("on_gpu") is True)

    async def _get(self, address: str, port: int, path: str) -> dict[str, Any] | None:
        url = URL.build(scheme="http", host=address, port=port, path=path)
        text = await get_text(self._session, url, limit=_LIMIT, seconds=self._timeout)
        return None if isinstance(text, Unreadable) else json_object(text)
