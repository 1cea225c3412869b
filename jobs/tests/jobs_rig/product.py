"""The server that tests of jobs run on: Debian's MariaDB, or a MySQL where the variable `JOBS_DATABASE` is `mysql`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
PASSWORD: Final = "secret word"
IS_MYSQL: Final = os.environ.get("JOBS_DATABASE") == "mysql"
_MADE_BY: Final = f"""create user 'jobs'@'%' identified by '{PASSWORD}';
grant all on *.* to 'jobs'@'%' with grant option;
"""


@dataclass(frozen=True, slots=True)
class Product:
    """A server's program."""

    name: str
    argv: tuple[str, ...]
    """The program, with what it needs to find its libraries."""
    share: Path
    """Messages, character sets and, of MariaDB, the statements that make the system tables."""
    special: tuple[str, ...]
    """Options that only this product has."""

    def options(self, data: Path) -> list[str]:
        """Return what each start needs. `--no-defaults` has to be the first, or a file of this machine's server is read."""
        return [
            "--no-defaults",
            f"--datadir={data}",
            f"--lc-messages-dir={self.share}",
            f"--character-sets-dir={self.share / 'charsets'}",
            "--user=root",
            "--innodb-buffer-pool-size=64M",
            "--innodb-fast-shutdown=1",
            *self.special,
        ]

    def empty_data(self) -> Path:
        """Return a data folder with the system tables and the user `jobs`. It is made once and copied: that takes a tenth of the time."""
        cache = Path(os.environ.get("SLICEWISE_CACHE") or Path.home() / ".cache/slicewise")
        made = cache / f"{self.name.lower()}-empty-2"
        with (cache / "mariadb.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not made.exists():
                part = cache / "mariadb-empty.part"
                shutil.rmtree(part, ignore_errors=True)
                part.mkdir()
                _run_mysql(self, part) if self.name == "MySQL" else _bootstrap(self, part)
                part.rename(made)
        return made


def product() -> Product:
    """Return the server's program; it is fetched the first time."""
    script = ROOT / "images" / ("mysql.sh" if IS_MYSQL else "mariadb.sh")
    done = subprocess.run([script], check=True, capture_output=True, text=True)
    folder = Path(done.stdout.strip())
    share, libraries = folder / "usr/share/mysql", folder / "lib"
    if IS_MYSQL:
        loader = (str(next(libraries.glob("ld-linux-*"))), "--library-path", str(libraries))
        # Without the second protocol, whose port all servers would share, and without the binary log, which MariaDB has not either.
        special = (
            "--mysqlx=OFF",
            "--disable-log-bin",
            "--secure-file-priv=NULL",
            f"--plugin-dir={folder / 'usr/lib/mysql/plugin'}",
        )
        return Product("MySQL", (*loader, str(folder / "usr/sbin/mysqld")), share, special)
    argv = ("env", f"LD_LIBRARY_PATH={libraries}", str(folder / "usr/sbin/mariadbd"))
    return Product("MariaDB", argv, share, ("--innodb-log-file-size=32M",))


def _bootstrap(mariadb: Product, data: Path) -> None:
    tables = [mariadb.share / name for name in ("mysql_system_tables.sql", "mysql_system_tables_data.sql")]
    users = f"flush privileges;\n{_MADE_BY}"
    script = "\n".join(
        ["create database mysql;", "use mysql;", *(file.read_text(encoding="utf-8") for file in tables), users]
    )
    _run([*mariadb.argv, *mariadb.options(data), "--bootstrap"], script)


def _run_mysql(mysql: Product, data: Path) -> None:
    users = data.with_suffix(".sql")
    users.write_text(_MADE_BY)
    _run([*mysql.argv, *mysql.options(data), "--initialize-insecure", f"--init-file={users}"])
    users.unlink()


def _run(argv: list[str], words: str = "") -> None:
    done = subprocess.run(argv, input=words, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
