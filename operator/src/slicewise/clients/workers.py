"""What worker pods say of themselves over HTTP: progress of the weights, and where the model computes.

Called by the observing step, only for pods of which the answer matters now. Whoever does not answer within a second is
`None`: unknown, never a zero.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, Protocol

import aiohttp

from slicewise.pool.observed import FetchProgress, WorkerInfo

FETCH_PORT: Final = 9091
WORKER_PORT: Final = 8080
_LIMIT: Final = 64 * 1024
"""Bytes read of an answer; a worker is not trusted with more of the operator's memory."""


class Workers(Protocol):
    """What the observing step asks of pods."""

    async def fetch_progress(self, address: str) -> FetchProgress | None:
        """Return what the `fetch` container of the pod with that IP address says."""

    async def worker_info(self, address: str) -> WorkerInfo | None:
        """Return what the `worker` container of the pod with that IP address says."""


class HttpWorkers:
    """`Workers` over HTTP."""

    def __init__(self, session: aiohttp.ClientSession, timeout: float = 1.0) -> None:
        self._session = session
        self._timeout = aiohttp.ClientTimeout(total=timeout)

    async def fetch_progress(self, address: str) -> FetchProgress | None:
        """See `Workers.fetch_progress`."""
        answer = await self._get(address, FETCH_PORT, "/progress")
        if answer is None:
            return None
        total, reason = answer.get("bytes_total"), answer.get("reason")
        return FetchProgress(
            bytes_done=_count(answer.get("bytes_done")) or 0,
            bytes_total=_count(total),
            reason=str(reason) if reason else None,
            message=str(answer.get("message") or "")[:512],
            done=answer.get("done") is True,
        )

    async def worker_info(self, address: str) -> WorkerInfo | None:
        """See `Workers.worker_info`."""
        answer = await self._get(address, WORKER_PORT, "/v1/worker")
        if answer is None or not isinstance(answer.get("device"), str):
            return None
        return WorkerInfo(device=answer["device"][:64], on_gpu=answer.get("on_gpu") is True)

    async def _get(self, address: str, port: int, path: str) -> dict[str, Any] | None:
        host = f"[{address}]" if ":" in address else address
        try:
            async with self._session.get(
                f"http://{host}:{port}{path}", timeout=self._timeout, allow_redirects=False
            ) as response:
                if response.status != 200 or (response.content_length or 0) > _LIMIT:
                    return None
                answer = await response.json(content_type=None)
        except (aiohttp.ClientError, asyncio.IncompleteReadError, TimeoutError, OSError, ValueError):
            return None
        return answer if isinstance(answer, dict) else None


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
