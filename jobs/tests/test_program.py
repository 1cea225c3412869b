"""The programs as they are started: what is wrong is one line of the log, with a word for it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jobs_rig.mariadb import MariaDb
from jobs_rig.store import create, url_file


def run(command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": f"{sys.prefix}/bin",
        **{f"SLICEWISE_JOBS_{name}": value for name, value in variables.items()},
    }
    return subprocess.run(["slicewise-jobs", command], env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize("command", ["api", "dispatch", "migrate"])
def test_settings_that_are_not_valid_are_named(command: str) -> None:
    done = run(command, LOG_LEVEL="loud")
    assert done.returncode == 1
    line = json.loads(done.stderr)
    assert line["event"] == "settings not valid"
    assert "SLICEWISE_JOBS_LOG_LEVEL: Input should be 'debug', 'info', 'warning' or 'error'" in line["error"]
    assert "SLICEWISE_JOBS_DATABASE_URL_FILE: Field required" in line["error"]


async def test_migrate_makes_the_tables_and_says_what_keeps_it_from_that(mariadb: MariaDb, tmp_path: Path) -> None:
    await create(mariadb, tmp_path, "by_program")
    address, authorities = url_file(mariadb, tmp_path, "by_program"), str(mariadb.ca_file)
    for _ in range(2):
        done = run("migrate", DATABASE_URL_FILE=str(address), DATABASE_CA_FILE=authorities)
        assert done.returncode == 0, done.stderr
    address.write_text(mariadb.url("by_program").replace("secret", "wrong"))
    given = {"DATABASE_CA_FILE": authorities, "TERMINATION_LOG": str(tmp_path / "last")}
    done = run("migrate", DATABASE_URL_FILE=str(address), **given)
    assert done.returncode == 1
    error = json.loads(done.stderr.splitlines()[-1])["error"]
    assert error.startswith("CredentialsRefused: ")
    assert "wrong%20" not in error
    last = json.loads((tmp_path / "last").read_text())
    assert last["reason"] == "CredentialsRefused"
    assert last["message"] in error
    address.write_text("mysql://")
    done = run("migrate", DATABASE_URL_FILE=str(address))
    assert done.returncode == 1
    assert "has no host and no user and no database" in json.loads(done.stderr.splitlines()[-1])["error"]


def test_without_a_secret_migrate_says_that_it_is_missing(tmp_path: Path) -> None:
    last = tmp_path / "last"
    done = run("migrate", DATABASE_URL_FILE=str(tmp_path / "url"), TERMINATION_LOG=str(last))
    assert done.returncode == 1
    assert json.loads(last.read_text())["reason"] == "SecretMissing"
