"""PgQueuer on PostgreSQL: how fast the same jobs end there, with as many consumers and slots, each commit on the disk."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from peer_environment import peer_python
from servers.processes import end, free_port, spawn, wait_until

_HERE = Path(__file__).parent
_PEER = _HERE / "pgqueuer_peer.py"
_NOBODY = 65534


@contextmanager
def postgres() -> Iterator[str]:
    """Run PostgreSQL as Debian has it, its durability included; yields its address."""
    found = subprocess.run([_HERE / "postgres.sh"], check=True, capture_output=True, text=True)
    programs, port = Path(found.stdout.strip()), free_port()
    with tempfile.TemporaryDirectory(prefix="bench-postgres-") as folder:
        place = Path(folder)
        run = ["env", f"LD_LIBRARY_PATH={programs / 'lib'}"]
        if os.geteuid() == 0:
            # The server refuses to run as root.
            os.chown(place, _NOBODY, _NOBODY)
            run = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *run]
        data = place / "data"
        made = [*run, str(programs / "initdb"), "-D", str(data), "-U", "bench", "--auth=trust", "--locale=C"]
        subprocess.run(made, check=True, capture_output=True, cwd=place)
        options = ["-p", str(port), "-k", str(place), "-c", "listen_addresses=127.0.0.1", "-c", "shared_buffers=512MB"]
        server = spawn([*run, str(programs / "postgres"), "-D", str(data), *options], place / "log")
        is_ready = [*run, str(programs / "pg_isready"), "-h", "127.0.0.1", "-p", str(port)]
        try:
            wait_until(
                lambda: subprocess.run(is_ready, check=False, capture_output=True, cwd=place).returncode == 0,
                60,
                (place / "log").read_text,
            )
            yield f"postgresql://bench@127.0.0.1:{port}/postgres"
        finally:
            end(server)


async def drained_a_second(gateway: str, jobs: int, consumers: int, slots: int) -> float:
    """Return how many jobs a second end; the start of the consumers is left out."""
    python = await asyncio.to_thread(peer_python, "pgqueuer")
    with postgres() as url:
        await _peer(python, "fill", url, str(jobs))
        told = await asyncio.gather(*(_peer(python, "drain", url, gateway, str(slots)) for _ in range(consumers)))
    ended = [json.loads(line) for line in told]
    assert sum(each["jobs"] for each in ended) == jobs, ended
    return jobs / (max(each["last"] for each in ended) - min(each["first"] for each in ended))


async def _peer(python: Path, *arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(python), str(_PEER), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, trouble = await process.communicate()
    if process.returncode:
        raise RuntimeError(trouble.decode()[-2000:])
    return out.decode()
