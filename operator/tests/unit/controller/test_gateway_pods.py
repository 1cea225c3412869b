"""When the agents of a gateway are asked again."""

from __future__ import annotations

from slicewise.controller.gateway_pods import KEYS_SECONDS, GatewayRecord, ask
from slicewise.gateway.measurement import NoData, Reading
from slicewise.pool.observed import GatewayInfo, ObservedGatewayPod


class Says:
    """Agents that all say the same."""

    def __init__(self, info: GatewayInfo) -> None:
        self.says = info

    async def info(self, address: str) -> GatewayInfo | NoData:
        return self.says

    async def counters(self, address: str, p95_seconds: float) -> Reading | NoData:
        return NoData("not asked")


def record() -> GatewayRecord:
    return GatewayRecord(1, ObservedGatewayPod("g-0", ready=True), address="192.0.2.1", container=7)


def runs(*, keyed: bool) -> GatewayInfo:
    return GatewayInfo("v1", "v1", programmed=True, reason="Programmed", message="", keyed=keyed)


async def test_an_agent_that_runs_what_is_wanted_is_not_asked_again() -> None:
    pod = record()
    await ask(pod, Says(runs(keyed=False)), "v1", 0.0)
    assert not pod.lacks("v1")
    assert not pod.is_due("v1", 1e9)


async def test_an_agent_with_keys_is_asked_once_a_minute_because_a_changed_secret_reaches_it_alone() -> None:
    pod = record()
    for turn in range(3):
        now = turn * KEYS_SECONDS
        assert pod.is_due("v1", now)
        await ask(pod, Says(runs(keyed=True)), "v1", now)
        assert not pod.is_due("v1", now + KEYS_SECONDS - 1)
        assert pod.due == now + KEYS_SECONDS
    assert pod.is_due("v2", 0.0), "a change is asked about at once"
