"""A drain asks Envoy until it answers: one slow answer of a busy admin port ends no request. On a real Envoy."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from rig.envoy import CHAT, STABLE, route, running
from rig.worker import StartWorkers
from servers.processes import free_port

from slicewise.envoy import GatewayModel
from slicewise_gateway.agent.drain import Arrivals, Bounds, drain
from slicewise_gateway.agent.envoy import EnvoyAdmin, EnvoyError, EnvoyGoneError

ONE = GatewayModel("chat", (route(STABLE),))
BOUNDS = Bounds(successor=60, delay=0, late=0, running=60)


@dataclass
class Admin:
    """Envoy's admin port behind a relay that breaks its first connections before they are answered."""

    target: int
    port: int = 0
    breaks: int = 0
    connections: int = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Admin]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            if self.connections <= self.breaks:
                return
            there, back = await asyncio.open_connection("127.0.0.1", self.target)
            try:
                back.write(await reader.readuntil(b"\r\n\r\n"))
                while piece := await there.read(65536):
                    writer.write(piece)
                    await writer.drain()
            finally:
                back.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()


async def at_once() -> None:
    return


async def test_answers_that_fail_end_no_drain(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    workers[0].mode = "stream"
    async with (
        running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig,
        Admin(rig.model.ports.admin, breaks=4).serving() as admin,
    ):
        no_reuse = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=no_reuse) as session,
            rig.session.post(rig.url + CHAT, data=b"{}") as answer,
        ):
            assert await answer.content.readline() == b"data: first\n"
            draining = asyncio.create_task(
                drain(EnvoyAdmin(f"http://127.0.0.1:{admin.port}", session), at_once(), BOUNDS)
            )
            seen = 0
            while seen < 10:  # four that fail, the three steps, and looks while the request runs
                assert not draining.done(), "the drain goes on while a request runs"
                await asyncio.sleep(0.05)
                seen = admin.connections
            workers[0].go.set()
            assert await answer.read() == b"\ndata: last\n\n"
            await asyncio.wait_for(draining, 60)
        assert rig.process is not None
        assert await asyncio.to_thread(rig.process.wait, 30) == 0


async def test_a_drain_waits_until_no_client_connects_any_more(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    clock = asyncio.get_running_loop().time
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig, aiohttp.ClientSession() as session:
        envoy = EnvoyAdmin(f"http://127.0.0.1:{rig.model.ports.admin}", session)
        draining = asyncio.create_task(drain(envoy, at_once(), Bounds(successor=60, delay=3, late=300, running=60)))
        begin = last = clock()
        longest_pause = 0.0
        while clock() - begin < 6 and not draining.done():
            await connect(rig.model.ports.http)
            longest_pause, last = max(longest_pause, clock() - last), clock()
            await asyncio.sleep(0.1)
        assert not draining.done() or longest_pause > 2, "a client that connects finds the gateway"
        await asyncio.wait_for(draining, 120)


async def test_a_client_that_connects_for_ever_holds_up_no_drain(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig, aiohttp.ClientSession() as session:
        envoy = EnvoyAdmin(f"http://127.0.0.1:{rig.model.ports.admin}", session)
        draining = asyncio.create_task(drain(envoy, at_once(), Bounds(successor=60, delay=1, late=2, running=60)))
        async with asyncio.timeout(120):
            while not draining.done():
                await connect(rig.model.ports.http)
                await asyncio.sleep(0.1)
        await draining


async def connect(port: int) -> None:
    """Begin a request, and leave."""
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n")
        await writer.drain()
        writer.close()


def test_a_pause_is_counted_from_the_last_new_connection() -> None:
    arrivals = Arrivals()
    seen = [(7, 10.0), (7, 12.0), (8, 13.0), (8, 13.5), (8, 16.0), (0, 17.0), (0, 18.0)]
    assert [arrivals.quiet(count, now) for count, now in seen] == [0, 2, 0, 0.5, 3, 0, 1]


async def test_an_envoy_that_is_gone_ends_a_drain_at_once() -> None:
    async with aiohttp.ClientSession() as session:
        envoy = EnvoyAdmin(f"http://127.0.0.1:{free_port()}", session)
        with pytest.raises(EnvoyGoneError):
            await envoy.state()
        await asyncio.wait_for(drain(envoy, at_once(), Bounds(60, 0, 0, 3600)), 60)


@pytest.mark.parametrize("text", ["", "\n", "http.pool.downstream_rq_active: 9999999999999999999999"])
async def test_an_answer_that_says_nothing_is_not_taken_for_nothing_running(text: str) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, aiohttp.ClientSession() as session:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(EnvoyError) as failure:
            await EnvoyAdmin(f"http://127.0.0.1:{port}", session).state()
        assert not isinstance(failure.value, EnvoyGoneError)
