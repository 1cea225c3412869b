"""A gateway pod that is told to stop waits for another one to serve: between a real API server and a real Envoy."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from rig.agent import POD, serving_pod
from rig.envoy import STABLE, route
from rig.worker import StartWorkers
from servers.control_plane import ApiServer

from slicewise.envoy import GatewayModel
from slicewise_gateway.agent.farewell import CONDITION
from slicewise_gateway.agent.successor import Refusals, is_served

ONE = GatewayModel("chat", (route(STABLE),))


async def test_a_gateway_that_is_the_only_one_goes_on_until_the_next_one_serves(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        pod.cluster.gateways({POD: True, "chat-gateway-1": False})
        pod.terminate()
        await pod.said(draining=True)
        for _ in range(20):  # four times as long as it would go on otherwise
            await asyncio.sleep(0.1)
            assert (await pod.get("/readyz"))[0] == 200
            assert (await pod.rig.ask())[0] == 200
        pod.cluster.gateways({POD: False, "chat-gateway-1": True})
        assert pod.process is not None
        assert await asyncio.to_thread(pod.process.wait, 60) == 0


async def test_in_a_namespace_that_is_deleted_nobody_is_waited_for(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        pod.restart_with(SUCCESSOR_SECONDS="3600")
        await pod.said(programmed=True)
        pod.cluster.gateways({POD: True, "chat-gateway-1": False})
        pod.cluster.delete_namespace()
        pod.terminate()
        assert pod.process is not None
        assert await asyncio.to_thread(pod.process.wait, 120) == 0
        # And the namespace is told, or its controller would look again after minutes only.
        status, namespace = control.request("GET", f"/api/v1/namespaces/{pod.cluster.namespace}")
        assert status == 200
        said = {item["type"]: item["message"] for item in namespace["status"]["conditions"]}
        assert said[CONDITION] == f"gateway pod {POD} has finished its requests and ended"


async def test_a_namespace_that_stays_is_not_touched(
    tmp_path: Path, control: ApiServer, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with serving_pod(tmp_path, control, ONE, workers) as pod:
        pod.cluster.gateways({POD: False, "chat-gateway-1": True})
        _, before = control.request("GET", f"/api/v1/namespaces/{pod.cluster.namespace}")
        pod.terminate()
        assert pod.process is not None
        assert await asyncio.to_thread(pod.process.wait, 60) == 0
        assert control.request("GET", f"/api/v1/namespaces/{pod.cluster.namespace}") == (200, before)


@pytest.mark.parametrize(
    ("slices", "served"),
    [
        pytest.param([], True, id="the Service is deleted"),
        pytest.param([{"endpoints": None}], False, id="nobody is there yet"),
        pytest.param(
            [{"endpoints": [{"targetRef": {"name": POD}, "conditions": {"ready": True}}]}], False, id="itself"
        ),
        pytest.param(
            [{"endpoints": [{"targetRef": {"name": "b"}, "conditions": {"ready": False}}]}], False, id="not ready"
        ),
        pytest.param(
            [{"endpoints": [{"targetRef": {"name": "b"}, "conditions": {"ready": True, "terminating": True}}]}],
            False,
            id="another that goes",
        ),
        pytest.param([{"endpoints": [{"targetRef": {"name": "b"}}]}], True, id="not said to be unready"),
        pytest.param(
            [{"endpoints": []}, {"endpoints": [{"conditions": {"ready": True}}]}], True, id="in a second slice"
        ),
    ],
)
def test_who_serves_once_a_gateway_is_gone(slices: list[dict[str, Any]], served: bool) -> None:
    assert is_served(slices, POD) == served


def test_only_refusals_for_several_seconds_in_a_row_say_that_the_pool_is_going() -> None:
    refusals = Refusals()
    assert not refusals.answered(401, 0)
    assert not refusals.answered(403, 4.9)
    assert not refusals.answered(None, 5)
    assert not refusals.answered(403, 5.5)
    assert not refusals.answered(500, 9)
    assert not refusals.answered(404, 9.5)
    assert not refusals.answered(403, 14)
    assert refusals.answered(403, 14.5)
