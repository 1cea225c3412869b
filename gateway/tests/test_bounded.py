"""Nobody that the agent or the edge asks can fill its memory, or hold it for ever."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from slicewise_gateway.agent.envoy import EnvoyAdmin, EnvoyError
from slicewise_gateway.agent.kube import ApiServer, Collection
from slicewise_gateway.edge.upstream import new_session
from slicewise_gateway.edge.workers import WorkersOfEnvoy

MIB = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[str]:
    """A server that reads a request's head and leaves the rest to `answer`; yields its address."""

    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        running.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            await answer(writer)
        writer.transport.abort()
        running.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in (left := list(running)):
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await asyncio.sleep(0)  # the loop closes the aborted sockets


@functools.cache
def packed_blanks() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MIB) for _ in range(1024)) + packer.flush()


async def bomb(writer: asyncio.StreamWriter) -> None:
    """1 GiB of blanks in 1 MiB, chunked."""
    packed = packed_blanks()
    writer.write(OK + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n")
    await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


async def dripping(writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    while True:
        writer.write(b"X-More: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("answer", [bomb, endless, dripping, headers_without_end])
async def test_an_envoy_that_answers_without_end_costs_little(answer: Answer) -> None:
    async with answering(answer) as url, new_session() as session:
        tracemalloc.start()
        try:
            assert await WorkersOfEnvoy(url, 1, session).healthy() == {}
            with pytest.raises(EnvoyError):
                await EnvoyAdmin(url, session).state()
            assert tracemalloc.get_traced_memory()[1] < 96 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize("answer", [bomb, endless, headers_without_end])
async def test_a_list_without_end_costs_little(tmp_path: Path, answer: Answer) -> None:
    (tmp_path / "token").write_text("t0ken")
    async with answering(answer) as url:
        server = ApiServer(url, tmp_path / "token", tmp_path / "none")
        async with server.session() as session:
            tracemalloc.start()
            try:
                with pytest.raises((aiohttp.ClientError, ValueError, TimeoutError)):
                    await server.get(session, url, {}, 30)
                assert tracemalloc.get_traced_memory()[1] < 256 * MIB
            finally:
                tracemalloc.stop()


async def test_a_watch_whose_event_never_ends_is_listed_anew(tmp_path: Path) -> None:
    lists = 0

    async def answer(writer: asyncio.StreamWriter) -> None:
        nonlocal lists
        lists += 1
        if lists % 2:
            body = b'{"metadata": {"resourceVersion": "1"}, "items": []}'
            writer.write(OK + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            await writer.drain()
            return
        await endless(writer)

    (tmp_path / "token").write_text("t0ken")
    async with answering(answer) as url:
        found = Collection(ApiServer(url, tmp_path / "token", tmp_path / "none"), "/x", {}, lambda _: None)
        following = asyncio.create_task(found.follow())
        async with asyncio.timeout(60):
            while lists < 3:  # noqa: ASYNC110 - the server's count
                await asyncio.sleep(0.05)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def test_the_token_does_not_follow_a_redirect(tmp_path: Path) -> None:
    async def never(_writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nobody is to come here")

    async with answering(never) as other:

        async def answer(writer: asyncio.StreamWriter) -> None:
            writer.write(f"HTTP/1.1 307 X\r\nLocation: {other}/\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()

        (tmp_path / "token").write_text("t0ken")
        async with answering(answer) as url:
            server = ApiServer(url, tmp_path / "token", tmp_path / "none")
            async with server.session() as session:
                with pytest.raises(ValueError, match="answered 307"):
                    await server.get(session, url, {}, 30)
