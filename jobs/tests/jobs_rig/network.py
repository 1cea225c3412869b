"""The network between the programs and the database, which a test may slow down or cut. It runs in the test's own loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from servers.processes import free_port


class Network:
    """Passes bytes on to a server."""

    def __init__(self, port: int) -> None:
        self.port = free_port()
        self.delay = 0.0
        """Seconds by which what goes either way is late."""
        self.passed = 0
        """Pieces that came from the server so far."""
        self._to = port
        self._open: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def cut(self) -> None:
        """Break all connections, wherever they are."""
        for writer in self._open:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        self._open.add(writer)
        with suppress(OSError):
            back, there = await asyncio.open_connection("127.0.0.1", self._to)
            self._open.add(there)
            both = [asyncio.create_task(self._pass(reader, there)), asyncio.create_task(self._pass(back, writer))]
            self._tasks.update(both)
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()
            self._tasks.difference_update(both)
        for each in (writer, there):
            if each:
                self._open.discard(each)
                each.transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(1 << 16):
                await asyncio.sleep(self.delay)
                writer.write(piece)
                await writer.drain()
                self.passed += 1


@asynccontextmanager
async def network(port: int) -> AsyncIterator[Network]:
    """A network to the server on this port."""
    found = Network(port)
    server = await asyncio.start_server(found._serve, "127.0.0.1", found.port)
    try:
        yield found
    finally:
        server.close()
        found.cut()
        await server.wait_closed()
        # The streams close in the next turns of the loop.
        await asyncio.sleep(0.05)
