"""Many pods, one cache: one download, and nobody is left waiting for a dead one."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import signal

import pytest
from fetching import KIB, MIB, Fetcher, digest_of, gguf, until
from sources.web import Fault, WebServer

from slicewise_worker.weights.partial import PARTIAL


async def test_eight_pods_on_one_claim_download_once(fetcher: Fetcher) -> None:
    async with WebServer(gguf(4 * MIB)).serving() as server:
        gate = asyncio.Event()
        server.faults = [Fault(stop_at=2 * MIB, gate=gate)]
        pods = [
            await fetcher.start(
                server.url, digest=server.digest, result_file=fetcher.folder / f"run{number}" / "weights.json"
            )
            for number in range(8)
        ]
        logs = [_until_logged(pod, "another pod is downloading") for pod in pods]
        waiting = [asyncio.create_task(log) for log in logs]
        await until(lambda: sum(task.done() for task in waiting) == 7, "seven pods wait", 180)
        gate.set()
        for task in waiting:
            if not task.done():
                task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        ended = [await fetcher.ended(pod) for pod in pods]
        assert [one.code for one in ended] == [0] * 8
        assert len(server.requests) == 1
        assert server.body_bytes == len(server.content)
        results = [json.loads((fetcher.folder / f"run{number}" / "weights.json").read_text()) for number in range(8)]
        notes = [result.pop("read_back", None) for result in results]
        assert results == results[:1] * 8
        assert sum(note is None for note in notes) == 1, (
            "the pod that downloaded has not read it back, and the others have"
        )


async def _until_logged(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stderr
    while line := await process.stderr.readline():
        if words in line.decode():
            return


async def test_after_kill_9_the_next_start_fetches_at_most_one_chunk_again(fetcher: Fetcher) -> None:
    chunk = MIB
    async with WebServer(gguf(24 * MIB)).serving() as server:
        server.faults = [Fault(stop_at=15 * MIB, gate=asyncio.Event())]
        pod = await fetcher.start(server.url, digest=server.digest, checkpoint_bytes=chunk)
        partial = fetcher.entry(server.digest) / PARTIAL
        await until(lambda: partial.exists() and partial.stat().st_size >= 8 * MIB, "half of it is written")
        pod.kill()
        await fetcher.ended(pod)
        written = partial.stat().st_size
        ended = await fetcher.run(server.url, digest=server.digest, checkpoint_bytes=chunk)
        assert ended.code == 0
        assert written - chunk <= server.starts()[1] <= written
        assert [line["bytes_done"] for line in ended.lines("download resumed")] == [server.starts()[1]]


async def test_a_stopped_pod_keeps_every_byte(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server:
        server.faults = [Fault(stop_at=5 * MIB, gate=asyncio.Event())]
        pod = await fetcher.start(server.url, digest=server.digest, checkpoint_bytes=64 * MIB)
        await until(lambda: server.body_bytes >= 5 * MIB, "the server has sent what it will")
        partial = fetcher.entry(server.digest) / PARTIAL
        await until(lambda: partial.exists() and partial.stat().st_size >= 4 * MIB, "most of it is written")
        pod.send_signal(signal.SIGTERM)
        ended = await fetcher.ended(pod)
        assert ended.code == 143
        assert ended.termination is None
        await fetcher.fetch(server.url, digest=server.digest)
        assert server.starts()[1] >= 4 * MIB


async def test_bits_that_turn_in_the_partial_file_are_not_gone_on_from(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server:
        server.faults = [Fault(stop_at=5 * MIB, gate=asyncio.Event())]
        pod = await fetcher.start(server.url, digest=server.digest, checkpoint_bytes=MIB)
        partial = fetcher.entry(server.digest) / PARTIAL
        await until(lambda: partial.exists() and partial.stat().st_size >= 4 * MIB, "most of it is written")
        pod.kill()
        await fetcher.ended(pod)
        with partial.open("r+b") as file:
            file.seek(MIB)
            file.write(b"\0\0")
        await fetcher.fetch(server.url, digest=server.digest)
        assert server.starts() == [0, 0]


@pytest.mark.parametrize(
    "sidecar", ["", "{}", "[]", '{"offset": 1e9, "sha256": "x", "etag": null, "modified": null, "total": null}']
)
async def test_a_broken_sidecar_only_costs_a_new_start(fetcher: Fetcher, web: WebServer, sidecar: str) -> None:
    folder = fetcher.entry(web.digest)
    folder.mkdir(parents=True)
    (folder / PARTIAL).write_bytes(web.content[: 300 * KIB])
    (folder / f"{PARTIAL}.json").write_text(sidecar)
    await fetcher.fetch(web.url, digest=web.digest)
    assert web.starts() == [0]


async def test_a_pod_that_dies_makes_room_for_the_next(fetcher: Fetcher) -> None:
    async with WebServer(gguf(8 * MIB)).serving() as server:
        server.faults = [Fault(stop_at=5 * MIB, gate=asyncio.Event())]
        pod = await fetcher.start(server.url, digest=server.digest, checkpoint_bytes=MIB)
        partial = fetcher.entry(server.digest) / PARTIAL
        await until(lambda: partial.exists() and partial.stat().st_size >= 4 * MIB, "most of it is written")
        waiting = asyncio.create_task(fetcher.fetch(server.url, digest=server.digest, checkpoint_bytes=MIB))
        await until(lambda: fetcher.progress.phase == "Waiting", "the second one waits")
        assert fetcher.progress.bytes_total == 8 * MIB
        assert fetcher.progress.bytes_done >= 4 * MIB
        pod.kill()
        await fetcher.ended(pod)
        await waiting
        assert server.starts()[1] >= 3 * MIB


async def test_a_partial_file_deleted_under_the_download_is_never_published(fetcher: Fetcher, web: WebServer) -> None:
    gate = asyncio.Event()
    web.faults = [Fault(stop_at=300 * KIB, gate=gate)]
    fetching = asyncio.create_task(fetcher.fetch(web.url, digest=web.digest))
    partial = fetcher.entry(web.digest) / PARTIAL
    await until(lambda: partial.exists() and partial.stat().st_size > 0, "the download began")
    partial.unlink()
    partial.write_bytes(b"GGUF but somebody else's")
    gate.set()
    result = await fetching
    assert digest_of((fetcher.entry(web.digest) / "model.gguf").read_bytes()) == result.digest == web.digest


async def test_a_lock_held_by_a_living_process_is_respected(fetcher: Fetcher, web: WebServer) -> None:
    folder = fetcher.entry(web.digest)
    folder.mkdir(parents=True)
    descriptor = os.open(folder / PARTIAL, os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    fetching = asyncio.create_task(fetcher.fetch(web.url, digest=web.digest))
    await until(lambda: fetcher.progress.phase == "Waiting", "it waits")
    assert web.requests == []
    os.close(descriptor)
    await fetching
    assert len(web.requests) == 1
