"""The agent between a real API server and a real Envoy."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest
from monitored import differs_from_page
from rig.agent import POD, AgentRig, gateway_pod, serving_pod
from rig.envoy import CANARY, CHAT, STABLE, route, until
from rig.worker import StartWorkers
from servers.control_plane import ApiServer

from slicewise.clients.gateways import GatewayInfo, HttpGateways
from slicewise.envoy import GatewayModel, TenantKeys

ONE = GatewayModel("chat", (route(STABLE),))
SERVICE, CANARY_SERVICE = f"chat-{STABLE}", f"chat-{CANARY}"


async def test_endpoints_and_weights_follow_the_cluster(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    first, second, canary = await start_workers(3)
    async with gateway_pod(tmp_path, control, ONE) as pod:
        rig = pod.rig
        assert (await rig.ask())[0] == 503
        assert (await rig.ask())[2]["retry-after"] == "1"
        pod.cluster.endpoints(SERVICE, [first, second])
        await rig.healthy(STABLE, 2)
        pod.cluster.endpoints(CANARY_SERVICE, [canary])

        config = pod.program(replace(rig.model, routes=(route(STABLE, 50), route(CANARY, 50))))
        await pod.said(programmed=True, running=config.version, clusters={f"rev-{CANARY}": 1, f"rev-{STABLE}": 2})
        await rig.healthy(CANARY, 1)
        answers = [await rig.ask() for _ in range(30)]
        assert {status for status, _, _ in answers} == {200}
        assert canary.requests > 0

        pod.program(replace(rig.model, routes=(route(STABLE, 100), route(CANARY, 0))))

        async def no_canary() -> bool:
            before = canary.requests
            for _ in range(20):
                await rig.ask()
            return canary.requests == before

        await until(no_canary, what="no request to the canary")

        config = pod.program(rig.model)
        pod.cluster.endpoints(SERVICE, [second])
        await pod.said(programmed=True, running=config.version, clusters={f"rev-{STABLE}": 1})
        await until(lambda: _gone(pod), what="the canary's endpoint file is removed")
        said = await HttpGateways(rig.session, agent_port=pod.port).info("127.0.0.1")
        assert said == GatewayInfo(config.version, config.version, True, "Programmed", "", tenants=0)
        _, text = await pod.get("/metrics")
        assert "slicewise_gateway_programmed 1.0" in text
        assert differs_from_page(text, "Gateway's agent") == set()
        assert (await pod.get("/healthz"))[0] == (await pod.get("/readyz"))[0] == 200


async def _gone(pod: AgentRig) -> bool:
    return pod.rig.files.names("eds-") == [f"eds-rev-{STABLE}.json"]


@pytest.mark.parametrize(
    ("file", "text", "reason"),
    [
        ("rds.json", json.dumps({"version_info": "x", "resources": [{"@type": "type.example/nothing"}]}), "Refused"),
        ("cds.json", "{", "Refused"),
        ("agent.json", '{"version": 1}', "NotWritten"),
    ],
)
async def test_what_cannot_be_used_is_reported_and_the_last_good_configuration_serves(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers, file: str, text: str, reason: str
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        good = pod.program(pod.rig.model)
        await pod.said(programmed=True, running=good.version)

        pod.cluster.config({**good.files, file: text})
        await pod.said(programmed=False, running=good.version, reason=reason)
        if reason == "Refused":
            await pod.said(refused=[file])
        assert (await pod.rig.ask())[0] == 200

        pod.cluster.config(good.files)
        await pod.said(programmed=True, running=good.version, reason="Programmed")


async def test_keys_follow_the_secret_and_no_key_is_in_what_the_agent_says(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with gateway_pod(tmp_path, control, replace(ONE, tenant_keys=TenantKeys("keys"))) as pod:
        pod.cluster.endpoints(SERVICE, workers)
        await pod.rig.healthy(STABLE, 1)

        async def status(key: str) -> int:
            return (await pod.rig.ask(Authorization=f"Bearer {key}"))[0]

        assert await status("secret-key-one") == 401, "no Secret, no entry"
        pod.keys(acme="secret-key-one\n", twin="shared-key-x", other="shared-key-x", empty="", five="12345")
        complaints = ("empty: empty", "five: a key shorter than 8 characters", "other, twin: the same key")
        await pod.said(programmed=True, tenants=1, keyed=True, complaints=list(complaints))
        told = await HttpGateways(pod.rig.session, agent_port=pod.port).info("127.0.0.1")
        assert isinstance(told, GatewayInfo)
        assert (told.keyed, told.complaints) == (True, complaints)
        assert (await status("secret-key-one"), await status("shared-key-x")) == (200, 401)
        pod.keys(acme="secret-key-two")

        async def rotated() -> bool:
            return (await status("secret-key-one"), await status("secret-key-two")) == (401, 200)

        await until(rotated, what="the new key holds")
        said = json.dumps(await pod.get("/v1/gateway")) + (tmp_path / "agent.log").read_text()
        assert "secret-key" not in said
        assert "shared-key" not in said


async def test_while_the_agent_is_dead_envoy_serves_and_a_new_one_catches_up(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    first, second = await start_workers(2)
    async with serving_pod(tmp_path, control, ONE, [first]) as pod:
        pod.kill()
        assert (await pod.rig.ask())[0] == 200
        pod.cluster.endpoints(SERVICE, [first, second])
        statuses: list[int] = []
        stop = asyncio.Event()

        async def load() -> None:
            while not stop.is_set():
                statuses.append((await pod.rig.ask())[0])
                await asyncio.sleep(0.01)

        loading = asyncio.create_task(load())
        pod.start()

        async def moved() -> bool:
            return second.requests > 0

        await until(moved, what="the other worker is asked")
        stop.set()
        await loading
        assert set(statuses) == {200}


async def api_back(control: ApiServer) -> None:
    """Start the API server beside this loop: a worker of the rig that answers no health check meanwhile is found unhealthy."""
    control.launch_api()
    await asyncio.to_thread(control.wait_for_api)


async def test_while_the_api_server_is_away_the_last_files_serve_also_after_a_restart(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        control.stop_api()
        try:
            await pod.said(inTouch=False, programmed=True)
            assert (await pod.rig.ask())[0] == 200
            pod.kill()
            pod.start()
            await pod.said(inTouch=False, reason="Waiting")
            assert (await pod.get("/readyz"))[0] == 200, "what it wrote before serves"
            assert (await pod.rig.ask())[0] == 200
        finally:
            await api_back(control)
        await pod.said(inTouch=True, programmed=True)
        await pod.rig.healthy(STABLE, 1)
        assert (await pod.rig.ask())[0] == 200


async def test_a_new_pod_is_not_ready_before_it_knows_the_endpoints(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    """Else it would take requests from the pods that can serve them."""
    workers = await start_workers(1)
    async with gateway_pod(tmp_path, control, ONE) as pod:
        pod.cluster.endpoints(SERVICE, workers)
        config = pod.program(pod.rig.model)
        await pod.said(programmed=True)
        assert (await pod.get("/readyz"))[0] == 200
        pod.kill()
        control.stop_api()
        try:
            pod.seed(config)
            pod.start()
            await pod.said(inTouch=False, reason="Waiting")
            assert (await pod.get("/readyz"))[0] == 503
        finally:
            await api_back(control)
        await pod.said(programmed=True)
        assert (await pod.get("/readyz"))[0] == 200


async def test_a_pod_that_was_made_without_keys_keeps_what_it_has_until_it_is_replaced(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        pod.program(replace(pod.rig.model, tenant_keys=TenantKeys("keys")))
        await pod.said(programmed=False, reason="NotWritten")
        assert (await pod.rig.ask())[0] == 200


async def test_keys_that_are_there_hold_from_the_first_request_of_a_new_pod(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    async with gateway_pod(tmp_path, control, replace(ONE, tenant_keys=TenantKeys("keys"))) as pod:
        pod.keys(acme="secret-key-one")
        pod.seed(pod.program(pod.rig.model))
        seeded = (Path(pod.rig.model.directory) / "ecds-keys.json").read_text()
        assert json.loads(seeded)["resources"][0]["typed_config"]["credentials"] == [
            {"client": "acme", "key": "secret-key-one"}
        ]


async def test_a_gateway_that_is_told_to_stop_lets_everything_finish_and_ends_envoy(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        workers[0].mode = "stream"
        pod.cluster.gateways({POD: True, "chat-gateway-1": False})
        async with pod.rig.session.post(pod.rig.url + CHAT, data=b"{}") as answer:
            assert await answer.content.readline() == b"data: first\n"
            pod.terminate()
            await pod.said(draining=True)
            assert (await pod.get("/readyz"))[0] == 200, "where it is the only pod, requests go to it for a while yet"
            workers[0].mode = "ok"
            assert (await pod.rig.ask())[0] == 200, "who has not heard of it yet is served"
            pod.cluster.gateways({POD: False, "chat-gateway-1": True})

            async def not_ready() -> bool:
                return (await pod.get("/readyz"))[0] == 503

            await until(not_ready, what="the pod says that it goes")

            async def leaving() -> bool:
                _, _, headers = await pod.rig.ask()
                return headers.get("Connection") == "close"

            await until(leaving, what="clients are asked to leave")
            workers[0].go.set()
            assert await answer.read() == b"\ndata: last\n\n"
        assert pod.process is not None
        assert pod.rig.process is not None
        assert await asyncio.to_thread(pod.process.wait, 60) == 0
        assert await asyncio.to_thread(pod.rig.process.wait, 60) == 0
