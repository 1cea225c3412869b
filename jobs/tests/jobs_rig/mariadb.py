"""A MariaDB of its own for tests: Debian's server on a free port, with a data folder of its own, over TLS."""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import trustme
from servers.processes import end, free_port, spawn, wait_until

from jobs_rig.product import PASSWORD, product


class MariaDb:
    """One server: a MariaDB, or what `product` says.

    `start`, `kill`, `stop` and `freeze` may be called again and again; its address stays."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = free_port()
        self.host = "127.0.0.1"
        self._product = product()
        self._data = place / "data"
        shutil.copytree(self._product.empty_data(), self._data)
        authority = trustme.CA()
        self.ca_file = place / "ca.crt"
        authority.cert_pem.write_to_path(str(self.ca_file))
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        certificate.private_key_pem.write_to_path(str(place / "server.key"))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(place / "server.crt"), append=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._given: tuple[str, ...] = ()

    def start(self, *options: str) -> None:
        """Start it, with these options besides or those of the last start, and wait until it takes connections."""
        self.begin(*options)
        self.wait()

    def begin(self, *options: str) -> None:
        """Start it without waiting. Call it from the main thread, which lives as long as the server shall."""
        self._given = options or self._given
        place = self.place
        argv = [
            *self._product.argv,
            *self._product.options(self._data),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={place / 's'}",
            f"--pid-file={place / 'pid'}",
            f"--ssl-cert={place / 'server.crt'}",
            f"--ssl-key={place / 'server.key'}",
            "--skip-name-resolve",
            *self._given,
        ]
        self._process = spawn(argv, place / "log")

    def wait(self) -> None:
        """Wait until it takes connections."""
        wait_until(self._greets, 120, self._end_of_log)

    def _end_of_log(self) -> str:
        return f"{self._product.name}: {(self.place / 'log').read_text(errors='replace')[-2000:]}"

    def _greets(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(self._end_of_log())
        with suppress(OSError), socket.create_connection((self.host, self.port), timeout=1) as connection:
            connection.settimeout(5)
            return len(connection.recv(5)) == 5
        return False

    def kill(self) -> None:
        """End it without a word, as `kill -9` does."""
        assert self._process is not None
        end(self._process, kill=True)

    def stop(self) -> None:
        """End it politely; a killed one or one that never started has ended."""
        if self._process is not None:
            end(self._process)

    def freeze(self, *, frozen: bool) -> None:
        """Let it answer nothing more, or answer again."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def url(self, database: str) -> str:
        """Return the address of a database as a Secret would hold it."""
        return f"mysql://jobs:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{self.port}/{database}"
