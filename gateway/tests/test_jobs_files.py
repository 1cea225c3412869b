"""Files for batches, which the gateway sends on as they come. On a real Envoy."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from rig.envoy import STABLE, running, until
from rig.jobs_api import ONE, found, with_jobs
from rig.worker import StartWorkers, Worker

from slicewise.envoy import Jobs


async def test_files_are_streamed_whatever_their_size_and_other_bodies_have_the_pool_s_bound(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    # By its address: the name has a second one, at which nothing listens and a large file may end.
    model = replace(ONE, jobs=Jobs.of(api.address, 900, api.port))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        size = 8 << 20
        status, body, _ = await rig.ask("/v1/files", b"x" * size)
        assert (status, body["bytes"]) == (200, size)
        _, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
        writer.write(b"POST /v1/files HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")

        async def has_begun() -> bool:
            return api.requests == 2

        await until(has_begun, what="the API gets a file before it is whole")
        writer.close()
        for path in ("/jobs", "/v1/batches", "/v1/files/file-1", "/v1/responses/resp_1/cancel"):
            status, body, _ = await rig.ask(path, b"x" * 1001)
            assert (status, body["error"]["code"]) == (413, "request_too_large"), path
        assert api.requests == 2


async def test_a_file_that_no_api_takes_is_refused_as_a_job_is_however_fast_it_comes(
    tmp_path: Path, start_workers: StartWorkers, api: Worker
) -> None:
    workers = await start_workers(1)
    await api.stop()
    async with running(tmp_path, with_jobs(api), {f"chat-{STABLE}": workers}) as rig:
        await found(rig)
        for size in (1, 1 << 15, 1 << 20, 16 << 20, 16 << 20, 16 << 20):
            status, body, headers = await rig.ask("/v1/files", b"x" * size)
            assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "jobs_unavailable", "1"), size
