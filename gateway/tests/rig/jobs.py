"""Jobs from a client to a worker: real Envoy, the real programs of jobs and a real MariaDB."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import database_with_tables, url_file

from rig.envoy import STABLE, Rig, running
from rig.worker import Worker
from slicewise.envoy import GatewayModel, Jobs


@asynccontextmanager
async def running_jobs(
    directory: Path, model: GatewayModel, workers: Sequence[Worker], keys: Mapping[str, str]
) -> AsyncIterator[Rig]:
    """Run a gateway whose pool takes jobs until the block is left. `keys`: of tenants; they count where the model has keys."""
    server = MariaDb(directory)
    server.start()
    programs: list[Api | DispatcherProgram] = []
    try:
        async with database_with_tables(server, directory) as database:
            address = url_file(server, directory, database.address().database)
            api = Api(directory, address, server.ca_file)
            programs.append(await ready(api))
            model = replace(model, jobs=Jobs.of("localhost", 900, api.port))
            async with running(directory, model, {f"chat-{STABLE}": list(workers)}, **keys) as rig:
                gateway = f"http://127.0.0.1:{rig.model.ports.jobs}"
                dispatcher = DispatcherProgram(directory, api, gateway, address, server.ca_file)
                programs.append(await ready(dispatcher))
                yield rig
    finally:
        for program in programs:
            await asyncio.to_thread(program.kill)
        server.stop()
