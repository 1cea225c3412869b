"""A pool's jobs by an operator on a real API server: what is written, and what the real programs say on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from builders import pool_object
from jobs_rig.mariadb import MariaDb
from jobs_rig.programs import Program
from jobs_rig.store import connect, create
from servers.processes import free_address
from wiring.gateway_pod import MERGE, gateway_at
from wiring.heard import heard
from wiring.kubelet import container
from wiring.operator_process import Cluster, Operators, eventually
from wiring.test_passes import settled

from slicewise_jobs.store.migrate import migrate

pytestmark = pytest.mark.apiserver
JOBS: dict[str, Any] = {"databaseSecretRef": {"name": "jobs-db"}}
GO = {
    "Deployment/chat-jobs",
    "Deployment/chat-jobs-dispatch",
    "PodDisruptionBudget/chat-jobs",
    "PodDisruptionBudget/chat-jobs-dispatch",
    "Service/chat-jobs",
    "Service/chat-jobs-gateway",
}
STAY = {"NetworkPolicy/chat-jobs", "NetworkPolicy/chat-jobs-dispatch", "ServiceAccount/chat-jobs"}


async def test_children_of_jobs_are_written_once_follow_their_fields_and_go_with_them(
    cluster: Cluster, replicas: Operators
) -> None:
    first = await replicas.start()
    pool = cluster.create(pool_object(namespace=cluster.namespace, jobs=JOBS))
    await settled(cluster, first)
    children = cluster.children()
    assert {children[name]["metadata"]["ownerReferences"][0]["uid"] for name in GO | STAY} == {pool["metadata"]["uid"]}
    assert cluster.condition("JobsAvailable")["reason"] == "Starting"

    assert first.end() == 0
    mark = cluster.server.audit_mark()
    second = await replicas.start()
    await eventually(lambda: second.metric('slicewise_reconcile_total{result="unchanged"}') >= 1, second.words())
    assert cluster.writes(mark) == []

    cluster.edit("chat", {"jobs": {"slots": 32}})
    await settled(cluster, second)
    assert cluster.writes(mark) == ["patch deployments/chat-jobs-dispatch", "patch inferencepools/chat/status"]

    mark = cluster.server.audit_mark()
    cluster.edit("chat", {"jobs": None})
    await settled(cluster, second)
    await eventually(lambda: not cluster.children().keys() & GO, second.words())
    assert cluster.children().keys() >= STAY
    assert cluster.condition("JobsAvailable") == {}
    assert {write for write in cluster.writes(mark) if "deployments/" in write} == {
        "delete deployments/chat-jobs",
        "delete deployments/chat-jobs-dispatch",
    }, "no worker and no gateway pod is touched"


def make_pod(cluster: Cluster, deployment: str, program: str, address: str) -> None:
    """Make a pod of a Deployment whose program runs, as its controller and the kubelet would."""
    made = cluster.children()[f"Deployment/{deployment}"]
    template, name = made["spec"]["template"], f"{deployment}-5d4f-0"
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": f"{deployment}-5d4f", "controller": True}
    metadata = {
        **template["metadata"],
        "name": name,
        "ownerReferences": [{**owner, "uid": made["metadata"]["uid"]}],
    }
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {**template["spec"], "nodeName": "wiring-a"},
    }
    path = f"/api/v1/namespaces/{cluster.namespace}/pods"
    code, answer = cluster.server.request("POST", path, body)
    assert code == 201, answer
    status = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "ContainersReady")],
        "initContainerStatuses": [container("migrate", name, {"terminated": {"exitCode": 0}}, ready=True)],
        "containerStatuses": [container(program, name, {"running": {}}, ready=True)],
    }
    code, answer = cluster.server.request("PATCH", f"{path}/{name}/status", {"status": status}, content_type=MERGE)
    assert code == 200, answer


async def test_jobs_are_asked_again_and_again_and_the_api_server_is_not(cluster: Cluster, replicas: Operators) -> None:
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0, jobs=JOBS))
    await settled(cluster, operator)
    asked, late, address = 0, 0, free_address()

    async def answer(request: web.Request) -> web.Response:
        nonlocal asked, late
        if await heard(request):
            asked += 1
        else:
            late += 1
        return web.json_response({"available": False, "reason": "DatabaseAway", "message": "gone"})

    app = web.Application()
    app.router.add_get("/v1/standing", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, 9094).start()
    try:
        async with gateway_at(cluster, free_address()) as gateway:
            gateway.make_pod()
            make_pod(cluster, "chat-jobs", "api", address)
            missed, requests = -1, []
            while missed != late:  # an answer that comes too late is unknown, and that is written
                await eventually(lambda: cluster.condition("JobsAvailable")["reason"] == "DatabaseAway", "it is told")
                await eventually(lambda: cluster.condition("Ready")["status"] == "True", operator.words())
                await eventually(operator.resting, "no pass waits")
                mark, before, missed = cluster.server.audit_mark(), asked, late
                await eventually(lambda limit=before + 2: asked >= limit, operator.words())
                await eventually(operator.resting, "no pass waits")
                requests = [event["requestURI"] for event in cluster.audited(mark)]
            assert requests == []
    finally:
        await runner.cleanup()


@pytest.fixture
def mariadb(tmp_path: Path) -> Iterator[MariaDb]:
    place = tmp_path / "mariadb"
    place.mkdir()
    server = MariaDb(place)
    server.start()
    yield server
    server.stop()


async def test_what_the_programs_say_of_their_database_is_told_as_it_changes_and_the_pool_stays_ready(
    cluster: Cluster, replicas: Operators, mariadb: MariaDb, tmp_path: Path
) -> None:
    await create(mariadb, tmp_path, "jobs")
    address = free_address()
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "ca.crt").write_bytes(mariadb.ca_file.read_bytes())
    known = {"DATABASE_URL_FILE": secret / "url", "DATABASE_CA_FILE": secret / "ca.crt", "HOST": address}
    gateway_url = {"GATEWAY_URL": "http://127.0.0.1:9"}
    programs = (
        Program("api", tmp_path, **known, PORT=8084, INTERNAL_PORT=9094),
        Program("dispatch", tmp_path, **known, **gateway_url, INTERNAL_PORT=9095),
    )
    operator = await replicas.start()
    cluster.create(pool_object(namespace=cluster.namespace, replicas=0, jobs=JOBS))
    await settled(cluster, operator)

    async def says(status: str, reason: str, stalled: str) -> None:
        def found() -> bool:
            jobs, ready, stuck = (cluster.condition(kind) for kind in ("JobsAvailable", "Ready", "Stalled"))
            told = (jobs["status"], jobs["reason"], ready["status"], stuck["status"])
            return told == (status, reason, "True", stalled)

        await eventually(found, f"{reason}: {cluster.condition('JobsAvailable')}, {operator.words()}")

    async with gateway_at(cluster, free_address()) as gateway:
        gateway.make_pod()
        try:
            for program in programs:
                program.begin()
            make_pod(cluster, "chat-jobs", "api", address)
            make_pod(cluster, "chat-jobs-dispatch", "dispatch", address)
            await says("False", "SecretMissing", "True")
            (secret / "url").write_text(mariadb.url("jobs"))
            await says("False", "SchemaOlder", "True")
            database = connect(mariadb, tmp_path, "jobs")
            await migrate(database)
            await database.close()
            await says("True", "Available", "False")
            mariadb.kill()
            await says("False", "DatabaseAway", "False")
            mariadb.start()
            await says("True", "Available", "False")
        finally:
            for program in programs:
                program.stop()
