"""Fixtures of the gateway's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import patient_properties  # noqa: F401
import pytest
from rig.worker import StartWorkers, Worker, own_address
from servers.control_plane import ApiServer, control_plane, free_port


@pytest.fixture
async def start_workers() -> AsyncIterator[StartWorkers]:
    """Start so many workers, each on a port of its own."""
    started: list[Worker] = []

    async def start(count: int) -> list[Worker]:
        new = [Worker(own_address(), free_port()) for _ in range(count)]
        for worker in new:
            started.append(worker)
            await worker.start()
        return new

    yield start
    for worker in started:
        await worker.stop()


@pytest.fixture
async def api() -> AsyncIterator[Worker]:
    """The API of jobs, as a server that says what it got."""
    found = Worker("127.0.0.1", free_port())
    await found.start()
    yield found
    await found.stop()


@pytest.fixture(scope="session")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """A real API server for the agent to follow."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as server:
        yield server
