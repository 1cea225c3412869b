"""What is measured: a MariaDB, the programs of jobs, and a gateway that answers at once (Envoy's own answer, so that it is no wall)."""

from __future__ import annotations

import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import PRODUCTION, Api, DispatcherProgram
from jobs_rig.store import connect, create, url_file
from rig_envoy import always
from servers.processes import answers, end, free_port, spawn, wait_until

from slicewise_jobs.store.database import Database
from slicewise_jobs.store.migrate import migrate

ANSWER = json.dumps({"object": "chat.completion", "choices": [{"message": {"role": "assistant", "content": "done"}}]})


@dataclass(frozen=True, slots=True)
class Rig:
    """The server, and the gateway's address."""

    folder: Path
    server: MariaDb
    gateway: str

    @asynccontextmanager
    async def database(self) -> AsyncIterator[tuple[Database, Path]]:
        """A database with empty tables, and the file with its address."""
        name = f"bench_{secrets.token_hex(4)}"
        await create(self.server, self.folder, name)
        made = connect(self.server, self.folder, name, 120)
        await migrate(made)
        try:
            yield made, url_file(self.server, self.folder, name)
        finally:
            await made.close()

    def api(self, address: Path, **variables: object) -> Api:
        """An API that has not been started."""
        return Api(self.folder, address, self.server.ca_file, LOG_LEVEL="warning", **variables)

    def dispatcher(self, api: Api | None, address: Path, **variables: object) -> DispatcherProgram:
        """A dispatcher that has not been started, with the leases and pauses of production."""
        given = {**PRODUCTION, "LOG_LEVEL": "warning", **variables}
        return DispatcherProgram(self.folder, api, self.gateway, address, self.server.ca_file, **given)


@contextmanager
def running(folder: Path) -> Iterator[Rig]:
    """Run server and gateway until the block is left. The server has the settings of the chart's: each commit is on the disk."""
    place = folder / "mariadb"
    place.mkdir()
    server = MariaDb(place)
    server.start("--innodb-flush-log-at-trx-commit=1", "--innodb-buffer-pool-size=512M", "--max-connections=300")
    port, admin = free_port(), free_port()
    config = folder / "envoy.json"
    config.write_text(json.dumps(always(port, admin, ANSWER)))
    envoy = spawn(["envoy", "-c", str(config), "--concurrency", "1", "--use-dynamic-base-id"], folder / "envoy.log")
    try:
        gateway = f"http://127.0.0.1:{port}"
        wait_until(lambda: answers(gateway), 60, (folder / "envoy.log").read_text)
        yield Rig(folder, server, gateway)
    finally:
        end(envoy)
        server.stop()
