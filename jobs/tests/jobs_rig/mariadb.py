"""A MariaDB of its own for tests: Debian's server on a free port, with a data folder of its own, over TLS."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import subprocess
from contextlib import suppress
from pathlib import Path

import trustme
from servers.processes import end, free_port, spawn, wait_until

ROOT = Path(__file__).resolve().parents[3]
PASSWORD = "secret word"
_MADE_BY = """create user 'jobs'@'%' identified by '{password}';
grant all on *.* to 'jobs'@'%' with grant option;
"""


def folder() -> Path:
    """Return where MariaDB is; it is fetched the first time."""
    done = subprocess.run([ROOT / "images/mariadb.sh"], check=True, capture_output=True, text=True)
    return Path(done.stdout.strip())


def _environment(program: Path) -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LD_LIBRARY_PATH": str(program / "lib")}


def _empty_data(program: Path) -> Path:
    """Return a data folder with the system tables and the user `jobs`. It is made once and copied: that takes a tenth of the time."""
    cache = Path(os.environ.get("SLICEWISE_CACHE") or Path.home() / ".cache/slicewise")
    made = cache / "mariadb-empty-2"
    with (cache / "mariadb.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not made.exists():
            part = cache / "mariadb-empty.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            _bootstrap(program, part)
            part.rename(made)
    return made


def _bootstrap(program: Path, data: Path) -> None:
    share = program / "usr/share/mysql"
    tables = [share / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")]
    users = f"flush privileges;\n{_MADE_BY.format(password=PASSWORD)}"
    script = "\n".join(
        ["create database mysql;", "use mysql;", *(file.read_text(encoding="utf-8") for file in tables), users]
    )
    made = subprocess.run(
        [program / "usr/sbin/mariadbd", *_options(program, data), "--bootstrap"],
        input=script,
        env=_environment(program),
        check=False,
        capture_output=True,
        text=True,
    )
    assert made.returncode == 0, made.stderr[-2000:]


def _options(program: Path, data: Path) -> list[str]:
    share = program / "usr/share/mysql"
    return [
        # The first option, or a file of this machine's MariaDB is read.
        "--no-defaults",
        f"--datadir={data}",
        f"--lc-messages-dir={share}",
        f"--character-sets-dir={share / 'charsets'}",
        "--user=root",
        "--innodb-log-file-size=32M",
        "--innodb-buffer-pool-size=64M",
        "--innodb-fast-shutdown=1",
    ]


class MariaDb:
    """One server. `start`, `kill`, `stop` and `freeze` may be called again and again; its address stays."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.port = free_port()
        self.host = "127.0.0.1"
        self._program = folder()
        self._data = place / "data"
        shutil.copytree(_empty_data(self._program), self._data)
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
            str(self._program / "usr/sbin/mariadbd"),
            *_options(self._program, self._data),
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={place / 's'}",
            f"--pid-file={place / 'pid'}",
            f"--ssl-cert={place / 'server.crt'}",
            f"--ssl-key={place / 'server.key'}",
            "--skip-name-resolve",
            *self._given,
        ]
        libraries = f"LD_LIBRARY_PATH={self._program / 'lib'}"
        self._process = spawn(["env", libraries, *argv], place / "log")

    def wait(self) -> None:
        """Wait until it takes connections."""
        wait_until(self._greets, 60, self._end_of_log)

    def _end_of_log(self) -> str:
        return f"MariaDB: {(self.place / 'log').read_text(errors='replace')[-2000:]}"

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
