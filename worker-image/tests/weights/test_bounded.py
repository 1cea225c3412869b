"""No server can make the fetch read without end: neither bytes, nor time, nor numbers."""

from __future__ import annotations

import asyncio
import contextlib
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from fetching import KIB, MIB, Fetcher, digest_of, gguf
from sources.web import Fault, WebServer, end_all, noted

from slicewise_worker.weights import bounded
from slicewise_worker.weights.errors import FetchError, Reason
from slicewise_worker.weights.settings import Credentials

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
MANIFEST = f"oci://registry.example/a/b@{digest_of(b'{}')}"


@contextlib.asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """A server that reads a request's head and leaves the rest to `answer`; yields its port."""
    connections: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with noted(connections), contextlib.suppress(ConnectionError, asyncio.CancelledError):
            try:
                await reader.readuntil(b"\r\n\r\n")
                await answer(writer)
            finally:
                writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await end_all(connections)


async def bomb(writer: asyncio.StreamWriter) -> None:
    """A chunked, compressed answer of 1 GiB of blanks in 1 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = b"".join(packer.compress(b" " * MIB) for _ in range(1024)) + packer.flush()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n")
    writer.write(f"{len(packed):x}\r\n".encode() + packed + b"\r\n0\r\n\r\n")
    await writer.drain()


async def endless(writer: asyncio.StreamWriter) -> None:
    """Chunks for as long as somebody takes them."""
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


def dripping(start: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    return answer


async def headers_without_end(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: " + b"y" * 8000 + b"\r\n")
        await writer.drain()


@pytest.mark.parametrize("answer", [bomb, endless, headers_without_end])
async def test_a_manifest_without_end_costs_little_memory(fetcher: Fetcher, answer: Answer) -> None:
    async with answering(answer) as port:
        tracemalloc.start()
        try:
            with pytest.raises(FetchError):
                await fetcher.fetch(MANIFEST, Credentials(endpoint=f"http://127.0.0.1:{port}"), patience_seconds=0)
            assert tracemalloc.get_traced_memory()[1] < 32 * MIB
        finally:
            tracemalloc.stop()


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
        b"HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n",
    ],
)
async def test_a_manifest_that_drips_ends(fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch, start: bytes) -> None:
    monkeypatch.setattr(bounded, "SMALL_ANSWER_SECONDS", 1.0)
    async with answering(dripping(start)) as port:
        with pytest.raises(FetchError):
            await fetcher.fetch(
                MANIFEST, Credentials(endpoint=f"http://127.0.0.1:{port}"), patience_seconds=0, stall_seconds=1
            )


async def test_a_model_that_drips_ends_when_patience_does(fetcher: Fetcher) -> None:
    """A byte now and then is no progress: neither the connection nor the patience lives on it."""
    start = b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nGGUF"
    async with answering(dripping(start)) as port:
        for _ in range(20):
            with pytest.raises(FetchError) as failure:
                await fetcher.fetch(
                    f"http://127.0.0.1:{port}/m.gguf", digest=digest_of(b""), patience_seconds=1, stall_seconds=0.3
                )
            assert failure.value.reason is Reason.SOURCE_UNREACHABLE
            # On a busy machine the last try may end before its answer has begun.
            if "bytes came in 0.3 s" in failure.value.message:
                return
    raise AssertionError(failure.value.message)


@pytest.mark.parametrize("number", ["9" * 5000, "²", "-1", "1e9", ""])
async def test_numbers_of_a_server_are_bounded(fetcher: Fetcher, number: str) -> None:
    assert bounded.whole_number(number) is None
    async with WebServer(gguf(10 * KIB)).serving() as server:
        server.faults = [
            Fault(status=503, headers={"Retry-After": number}),
            Fault(status=416, headers={"Content-Range": f"bytes */{number}"}),
            Fault(headers={"Content-Range": f"bytes 0-{number}/{number}", "X-Linked-Size": number}),
        ]
        await fetcher.fetch(server.url, digest=server.digest)


@pytest.mark.parametrize(
    "body", [b"[]", b"null", b"not JSON", b"[" * 100_000, b'{"layers": {"a": 1}}', b'{"layers": [7]}']
)
async def test_a_manifest_that_is_none_is_refused_in_words(fetcher: Fetcher, body: bytes) -> None:
    async with WebServer(body).serving() as server:
        given = Credentials(endpoint=f"http://127.0.0.1:{server.port}")
        with pytest.raises(FetchError) as failure:
            await fetcher.fetch(f"oci://registry.example/a/b@{digest_of(body)}", given)
    assert failure.value.reason is Reason.UNSUPPORTED
