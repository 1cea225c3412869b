"""A database, an API and two dispatchers, all of which a test may kill."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from pathlib import Path

from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import SHORT_LEASES, Api, DispatcherProgram
from jobs_rig.store import connect, url_file


class Rig:
    """A database, an API and two dispatchers, all of which may be killed."""

    def __init__(self, server: MariaDb, folder: Path, name: str, gateway: str, **variables: object) -> None:
        self.server = server
        self.address = url_file(server, folder, name)
        self.database = connect(server, folder, name)
        self.api = Api(folder, self.address, server.ca_file)
        given = {"SLOTS": 8, **SHORT_LEASES, **variables}
        self.dispatchers = [
            DispatcherProgram(folder, self.api, gateway, self.address, server.ca_file, **given) for _ in range(2)
        ]

    @property
    def programs(self) -> list[Api | DispatcherProgram]:
        return [self.api, *self.dispatchers]

    async def start(self) -> None:
        for program in self.programs:
            program.begin()
        for program in self.programs:
            await serving(program)

    async def stop(self) -> None:
        for program in self.programs:
            if not program.ended():
                await asyncio.to_thread(program.kill)
        await self.database.close()

    async def counts(self) -> Counter[str]:
        rows = await self.database.read("SELECT state, COUNT(*) AS jobs FROM slicewise_jobs GROUP BY state")
        return Counter({row.state: row.jobs for row in rows})


async def serving(program: Api | DispatcherProgram, path: str = "readyz") -> None:
    for _ in range(6000):
        if await asyncio.to_thread(program.is_ready, path):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(program.log())


async def kill_one(rig: Rig, what: str) -> None:
    if what == "database":
        rig.server.kill()
        await asyncio.sleep(0.2)
        # The gateway, which runs in this loop, goes on meanwhile.
        rig.server.begin()
        await asyncio.to_thread(rig.server.wait)
        return
    program = rig.api if what == "api" else random.choice(rig.dispatchers)
    await asyncio.to_thread(program.kill)
    program.begin()
    # The next kill hits one that works.
    await serving(program)
