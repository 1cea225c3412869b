"""A client of the API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import aiohttp


class Client:
    """Sends jobs as a tenant would through the gateway. `patient`: comes again where it gets 503, but in `call`."""

    def __init__(self, url: str, session: aiohttp.ClientSession, tenant: str = "", *, patient: bool = False) -> None:
        self.url = url
        self.patient = patient
        self._session = session
        self.headers = {"x-slicewise-tenant": tenant} if tenant else {}

    async def call(
        self, method: str, path: str, *, json: Any = None, data: bytes | None = None, key: str | None = None
    ) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Return status, body and headers."""
        headers = {**self.headers, **({"Idempotency-Key": key} if key is not None else {})}
        async with self._session.request(method, self.url + path, json=json, data=data, headers=headers) as answer:
            return answer.status, await answer.json(), dict(answer.headers)

    async def add(self, prompt: str, key: str | None = None, query: str = "") -> str:
        """Return the id of an accepted job."""
        status, body = await self.served("POST", f"/jobs{query}", json={"prompt": prompt}, key=key)
        assert status == 202, body
        return str(body["job_id"])

    async def get(self, job_id: str) -> dict[str, Any]:
        """Return a job."""
        status, body = await self.served("GET", f"/jobs/{job_id}")
        assert status == 200, body
        return body

    async def served(self, method: str, path: str, **more: Any) -> tuple[int, dict[str, Any]]:
        """Return status and body; of one that is patient, what it gets in the end."""
        deadline = time.monotonic() + 90
        while True:
            status, body, _ = await self.call(method, path, **more)
            if status != 503 or not self.patient or time.monotonic() > deadline:
                return status, body
            await asyncio.sleep(0.1)

    async def until(self, job_id: str, *states: str, seconds: float = 90) -> dict[str, Any]:
        """Return the job once it is in one of these states."""
        deadline = time.monotonic() + seconds
        while (job := await self.get(job_id))["status"] not in states:
            assert time.monotonic() < deadline, job
            await asyncio.sleep(0.02)
        return job


async def until(condition: Callable[[], object], seconds: float = 90) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
