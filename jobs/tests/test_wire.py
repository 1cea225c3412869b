"""The dispatcher's connections to the gateway, against a server that says exactly the bytes of a test."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from jobs_rig.client import until

from slicewise_jobs.dispatch.wire import BrokenError, NotReachedError, TooLargeError, Wire

MOST = 1000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
Say = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads whole requests; `says` what each is answered with, in pieces. An empty piece closes the connection."""

    def __init__(self, *says: list[bytes]) -> None:
        self.says = list(says)
        self.asked: list[bytes] = []
        self.connections = 0
        self.arrived = asyncio.Event()
        self.gone = asyncio.Event()
        self.serving: set[asyncio.Task[None]] = set()

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.serving.add(asyncio.ensure_future(self.serve(reader, writer)))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.asked.append(head + await reader.readexactly(length))
                self.arrived.set()
                for piece in self.says.pop(0) if self.says else [OK]:
                    if not piece:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.01)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.gone.set()
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def wire_to(server: Server, seconds: float = 60) -> AsyncIterator[Wire]:
    listening = await asyncio.start_server(server.accept, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    wire = Wire(f"http://127.0.0.1:{port}/base", most_bytes=MOST, seconds=seconds)
    yield wire
    wire.close()
    listening.close()
    await asyncio.gather(*server.serving)


async def ask(wire: Wire, body: bytes = b"{}") -> tuple[int, bytes]:
    async with asyncio.timeout(60):
        answer = await wire.post("/v1/x", {"X-Name": "a"}, body)
    return answer.status, answer.body


async def test_a_request_is_whole_and_its_connection_is_used_again() -> None:
    server = Server()
    async with wire_to(server) as wire:
        for _ in range(3):
            assert await ask(wire, b"x" * 200_000) == (200, b"hello")
    assert server.connections == 1
    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /base/v1/x HTTP/1.1\r\nHost: 127.0.0.1:")
    assert b"\r\nX-Name: a\r\n" in head
    assert body == b"x" * 200_000


@pytest.mark.parametrize(
    ("pieces", "status", "body"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Le", b"ngth: 5\r\n\r\nhe", b"llo"], 200, b"hello"),
        (
            [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"],
            200,
            b"hello",
        ),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK], 200, b"hello"),
        ([b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"], 503, b""),
        ([b"HTTP/1.1 204 No Content\r\n\r\n"], 204, b""),
        ([b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nContent-Length: 2\r\n\r\nab"], 200, b"ab"),
    ],
)
async def test_an_answer_in_any_shape_is_read_whole(pieces: list[bytes], status: int, body: bytes) -> None:
    server = Server(pieces)
    async with wire_to(server) as wire:
        assert await ask(wire) == (status, body)
        assert await ask(wire) == (200, b"hello")
    assert server.connections == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"],
        [b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", b""],
        [b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"],
        # More than was asked for.
        [OK + OK],
    ],
)
async def test_a_connection_that_is_not_to_be_used_again_is_not(pieces: list[bytes]) -> None:
    server = Server(pieces)
    async with wire_to(server) as wire:
        assert await ask(wire) == (200, b"hello")
        assert await ask(wire) == (200, b"hello")
    assert server.connections == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [b""],
        [b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", b""],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", b""],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Le", b""],
        [b"220 mail.example ESMTP\r\n\r\n"],
        [b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b""],
    ],
)
async def test_an_answer_that_is_not_whole_is_none(pieces: list[bytes]) -> None:
    async with wire_to(Server(pieces)) as wire:
        with pytest.raises(BrokenError):
            await ask(wire)
        assert await ask(wire) == (200, b"hello")


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001],
        [b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 20_000] * 50, b""],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n"],
    ],
)
async def test_an_answer_that_is_too_large_ends_its_connection(pieces: list[bytes]) -> None:
    async with wire_to(Server(pieces)) as wire:
        with pytest.raises(TooLargeError):
            await ask(wire)
        assert await ask(wire) == (200, b"hello")


async def test_a_request_whose_answer_does_not_come_in_time_ends_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others, sent before and after it, have their answers."""
    half = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
    server, passed = Server(), 0.0
    loop = asyncio.get_running_loop()
    clock = loop.time
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)
    async with wire_to(server, seconds=60) as wire:
        assert (await wire.post("/x", {}, b"")).body == b"hello"
        for _ in range(2):
            server.says = [[half]]
            server.arrived.clear()
            server.gone.clear()
            asking = asyncio.create_task(wire.post("/x", {}, b""))
            await server.arrived.wait()
            passed += 61
            with pytest.raises(TimeoutError):
                await asking
            await asyncio.wait_for(server.gone.wait(), 60)
            assert (await wire.post("/x", {}, b"")).body == b"hello"


async def test_a_request_that_is_cancelled_closes_its_connection() -> None:
    server = Server([b"HTTP/1.1 200 OK\r\n"])
    async with wire_to(server) as wire:
        asking = asyncio.create_task(ask(wire))
        await server.arrived.wait()
        asking.cancel()
        async with asyncio.timeout(60):
            await server.gone.wait()


async def test_a_connection_that_the_server_closed_while_it_was_idle_is_not_used() -> None:
    server = Server([OK, b""])
    async with wire_to(server) as wire:
        assert await ask(wire) == (200, b"hello")
        await until(lambda: not wire._idle[0].reusable)
        assert await ask(wire) == (200, b"hello")
    assert server.connections == 2


async def test_where_no_connection_can_be_made_nothing_was_sent() -> None:
    server = Server()
    async with wire_to(server) as wire:
        pass
    with pytest.raises(NotReachedError):
        await ask(wire)


async def test_a_header_with_a_second_line_is_not_sent() -> None:
    server = Server()
    async with wire_to(server) as wire:
        with pytest.raises(ValueError, match="more than one line"):
            await wire.post("/v1/x", {"X-Name": "a\r\nX-Other: b"}, b"")
    assert server.asked == []
