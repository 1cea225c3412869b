"""The MariaDB for trials: locked down, reached by jobs only, and started for real with the script of its pod."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import asyncmy
import pytest
from asyncmy.errors import OperationalError
from builders import make_observed, make_pool
from servers.processes import free_port

from slicewise.pool.plan import plan_pool

ROOT = Path(__file__).parents[2]
NAME = "slicewise-mariadb"
ON = {"mariadb": {"enabled": True, "passwordSecret": "mariadb-password"}}
ON_DISK = {"mariadb": {**ON["mariadb"], "storage": {"persistent": False, "size": "2Gi"}}}


def of(rendered):
    return {(item["kind"], item["metadata"]["name"]): item for item in rendered.objects}


def spec_of(rendered):
    return rendered.one("StatefulSet", NAME)["spec"]


def container_of(rendered):
    (container,) = spec_of(rendered)["template"]["spec"]["containers"]
    return container


def test_it_is_three_objects_and_off_by_default(render):
    kinds = ("StatefulSet", "Service", "NetworkPolicy")
    assert set(of(render(ON))) - set(of(render())) == {(kind, NAME) for kind in kinds}
    assert "mariadbd" not in render().text


def test_the_pod_meets_pod_security_restricted_and_has_no_token(render):
    pod, container = spec_of(render(ON))["template"]["spec"], container_of(render(ON))
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_what_was_accepted_is_on_a_claim_unless_it_may_be_lost(render):
    (claim,) = spec_of(render(ON))["volumeClaimTemplates"]
    assert claim["spec"] == {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "8Gi"}}}
    kept = {"mariadb": {**ON["mariadb"], "storage": {"storageClassName": "fast", "size": "1Ti"}}}
    (claim,) = spec_of(render(kept))["volumeClaimTemplates"]
    assert (claim["spec"]["storageClassName"], claim["spec"]["resources"]["requests"]["storage"]) == ("fast", "1Ti")
    lost = spec_of(render(ON_DISK))
    assert "volumeClaimTemplates" not in lost
    assert {"name": "data", "emptyDir": {"sizeLimit": "2Gi"}} in lost["template"]["spec"]["volumes"]


def test_without_a_password_it_is_not_installed(helm):
    result = helm("template", "slicewise", str(ROOT / "charts/slicewise"), "--set", "mariadb.enabled=true")
    assert result.returncode != 0
    assert "mariadb.passwordSecret: name a Secret" in result.stderr


def test_jobs_of_the_served_namespaces_reach_it_and_it_reaches_nothing(render):
    policy = render(ON).one("NetworkPolicy", NAME)["spec"]
    assert policy["podSelector"]["matchLabels"].items() <= spec_of(render(ON))["template"]["metadata"]["labels"].items()
    (rule,) = policy["ingress"]
    (peer,) = rule["from"]
    (role,) = peer["podSelector"]["matchExpressions"]
    with_jobs = make_pool(jobs={"databaseSecretRef": {"name": "jobs-db"}})
    children = plan_pool(with_jobs, make_observed(), 0.0).children or ()
    roles = {
        item["metadata"]["name"]: item["spec"]["template"]["metadata"]["labels"].get(role["key"])
        for item in children
        if item["kind"] == "Deployment"
    }
    assert {name for name, found in roles.items() if found in role["values"]} == {"chat-jobs", "chat-jobs-dispatch"}
    assert peer["namespaceSelector"] == {}
    assert (policy["policyTypes"], "egress" in policy) == (["Ingress", "Egress"], False)
    some = render({**ON, "watchNamespaces": ["team-a"]}).one("NetworkPolicy", NAME)["spec"]
    (expression,) = some["ingress"][0]["from"][0]["namespaceSelector"]["matchExpressions"]
    assert expression["values"] == ["team-a"]


class Server:
    """The pod's script on this machine: its folders are below `place`, and it runs Debian's server."""

    def __init__(self, container, place):
        self.place, self.port = place, free_port()
        program = subprocess.run(
            [ROOT / "images/mariadb.sh"], check=True, capture_output=True, text=True
        ).stdout.strip()
        share = f"{program}/usr/share"
        (place / "bin").mkdir()
        (place / "tmp").mkdir()
        (place / "volume").mkdir()
        # No system of this machine's: messages and character sets are elsewhere, and the tests may run as root.
        options = f'--user=root --lc-messages-dir="{share}/mysql" --character-sets-dir="{share}/mysql/charsets"'
        (place / "bin/mariadbd").write_text(f'#!/bin/sh\nexec "{program}/usr/sbin/mariadbd" "$@" {options}\n')
        (place / "bin/mariadbd").chmod(0o755)
        (script,) = container["args"]
        moved = {
            "/var/lib/mysql": f"{place}/volume",
            "/tmp/": f"{place}/tmp/",
            "/usr/share": share,
            "=3306": f"={self.port}",
        }
        assert all(here in script for here in moved)
        # In one go: a new place may have the name of an old one in it.
        script = re.sub("|".join(moved), lambda found: moved[found[0]], script)
        self.command = [*container["command"], script]
        self.environment = {"PATH": f"{place}/bin:/usr/bin:/bin", "LD_LIBRARY_PATH": f"{program}/lib"}
        self.process = None

    def start(self, password):
        with (self.place / "log").open("ab") as log:
            environment = {**self.environment, "PASSWORD": password}
            self.process = subprocess.Popen(
                self.command, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        return self.process

    def stop(self, number=signal.SIGTERM):
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, number)
            self.process.wait(60)

    async def ask(self, statement, user="slicewise", password="word-1", database="slicewise"):
        """Return the first row, once the server takes connections."""
        async with asyncio.timeout(120):
            while True:
                assert self.process.poll() is None, (self.place / "log").read_text()[-2000:]
                try:
                    named = {"host": "127.0.0.1", "port": self.port, "user": user, "password": password, "db": database}
                    async with asyncmy.connect(**named) as connection, connection.cursor() as cursor:
                        await cursor.execute(statement)
                        return await cursor.fetchone()
                except OperationalError as error:
                    if error.args[0] != 2003:
                        raise
                await asyncio.sleep(0.1)


@pytest.fixture
def server(render, tmp_path):
    found = Server(container_of(render(ON)), tmp_path)
    yield found
    found.stop(signal.SIGKILL)


async def test_it_keeps_what_it_confirmed_takes_a_new_password_and_lets_no_one_else_in(server):
    server.start("word-1")
    assert await server.ask("select @@innodb_flush_log_at_trx_commit, @@log_bin") == (1, 0)
    await server.ask("create table kept (id int) engine=innodb")
    for user, password, code in (("slicewise", "word-2", 1045), ("root", "", None), ("", "", None)):
        with pytest.raises(OperationalError) as refused:
            await server.ask("select 1", user, password, None)
        assert code is None or refused.value.args[0] == code
    with pytest.raises(OperationalError):
        await server.ask("select * from mysql.global_priv")
    server.stop(signal.SIGKILL)
    server.start("word-2")
    assert await server.ask("select count(*) from kept", password="word-2") == (0,)
    with pytest.raises(OperationalError):
        await server.ask("select 1", password="word-1")


async def test_a_first_start_that_was_broken_off_is_begun_from_nothing(server):
    (server.place / "volume/new/mysql").mkdir(parents=True)
    (server.place / "volume/new/ibdata1").write_text("half")
    server.start("word-1")
    assert await server.ask("select 1") == (1,)
    assert not (server.place / "volume/new").exists()


@pytest.mark.parametrize("password", ["", "it's", "a b", "x;y", "p@ss"])
def test_a_password_that_cannot_stand_in_an_address_is_refused_with_words(server, password):
    assert server.start(password).wait(120) == 1
    assert "letters, digits, - and _" in (server.place / "log").read_text()


async def test_the_programs_of_jobs_accept_it_by_the_address_of_the_notes(helm, server, tmp_path):
    given = [f"--set=mariadb.{key}={str(value).lower()}" for key, value in ON["mariadb"].items()]
    chart = str(ROOT / "charts/slicewise")
    notes = helm("install", "slicewise", chart, "--dry-run=client", "--namespace", "here", *given).stdout
    assert "get secret mariadb-password -o 'go-template={{.data.password | base64decode}}'" in notes
    found = re.search(r'from-literal=url="(mysql://\S+)"', notes)
    assert found is not None
    assert "@slicewise-mariadb.here.svc/slicewise?" in found[1]
    server.start("word-1")
    await server.ask("select 1")
    here = found[1].replace("$password", "word-1").replace("slicewise-mariadb.here.svc", f"127.0.0.1:{server.port}")
    (tmp_path / "url").write_text(here)
    environment = {**os.environ, "SLICEWISE_JOBS_DATABASE_URL_FILE": str(tmp_path / "url")}
    migrate = await asyncio.create_subprocess_exec(sys.executable, "-m", "slicewise_jobs", "migrate", env=environment)
    with suppress(ProcessLookupError):
        assert await asyncio.wait_for(migrate.wait(), 120) == 0
    assert (await server.ask("select count(*) from information_schema.tables where table_schema = 'slicewise'"))[0] > 1
