"""Start the real servers (S3, OCI registry) that e2e/servers/build.sh builds, and a proxy that cuts their connections."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from sources.web import end_all, noted

REPOSITORY = Path(__file__).parents[4]


def program(name: str) -> str:
    """The path of a server program, built when it is not there yet."""
    cache = Path(
        os.environ.get("SLICEWISE_CACHE")
        or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slicewise"
    )
    path = cache / "bin" / name
    if not path.exists():
        subprocess.run(
            [REPOSITORY / "e2e/servers/build.sh"], check=True, env={**os.environ, "SLICEWISE_CACHE": str(cache)}
        )
    return str(path)


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path) -> Iterator[None]:
    """The program, answering on its port, until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=log.parent)
    try:
        _wait_for_port(process, port, log)
        yield
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for_port(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    import time

    give_up = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < give_up:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError(f"{log.stem} does not answer: {log.read_text(errors='replace')[-2000:]}")


class CuttingProxy:
    """A TCP proxy that breaks its next connections after so many bytes of the answer (`cuts`, one a connection)."""

    def __init__(self, port: int) -> None:
        self._target = port
        self.cuts: list[int] = []
        self.port = 0
        self._connections: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[CuttingProxy]:
        server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await end_all(self._connections)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with noted(self._connections):
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self._target)
        try:
            await self._both_ways((reader, writer), (target_reader, target_writer))
        finally:
            writer.transport.abort()
            target_writer.transport.abort()

    async def _both_ways(
        self,
        client: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        target: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    ) -> None:
        reader, writer = client
        target_reader, target_writer = target
        budget = self.cuts.pop(0) if self.cuts else None
        asking = asyncio.create_task(_copy(reader, target_writer, None))
        cut = await _copy(target_reader, writer, budget)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        if cut:
            writer.transport.abort()
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, budget: int | None) -> bool:
    """Copy until the end; True when the budget of bytes ran out."""
    with contextlib.suppress(ConnectionError):
        while piece := await reader.read(64 * 1024):
            if budget is not None and len(piece) >= budget:
                writer.write(piece[:budget])
                await writer.drain()
                return True
            budget = None if budget is None else budget - len(piece)
            writer.write(piece)
            await writer.drain()
    return False
