"""Each alert fires in a real Prometheus that scrapes the real exporters, for the pool that it is about and for no other."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest
import yaml
from dashboards import dashboards
from docpages.metrics import exported
from rig.alarming import Served, WrongGateway, WrongJobs, WrongOperator, WrongWorker, dcgm
from rig.envoy import STABLE, Rig, route, running
from rig.worker import Worker, own_address
from servers.processes import free_port
from servers.prometheus import Prometheus, prometheus, shortened, shortened_rules

from slicewise.envoy import GatewayModel

FILE = Path(__file__).parents[2] / "charts/slicewise/files/alerts.yaml"
RULES = yaml.safe_load(FILE.read_text())
ALERTS = {rule["alert"] for group in RULES["groups"] for rule in group["rules"] if "alert" in rule}
SECONDS = 240
"""Within which all alerts fire; the longest waits for 30 s, and the rest is for a busy machine."""

POOLS = {
    "SlicewisePoolStalled": "stalled",
    "SlicewiseCapacityShort": "short",
    "SlicewiseDeviceUnhealthy": "dead",
    "SlicewiseOnFallback": "cpu",
    "SlicewiseLoadUnknown": "deaf",
    "SlicewiseScalingLimited": "full",
    "SlicewiseBudgetAtRisk": "over",
    "SlicewiseBudgetUnwatched": "unpriced",
    "SlicewiseJobsUnavailable": "jobless",
    "SlicewiseRolloutUndecided": "rare",
    "SlicewiseRolloutGivenUp": "bad",
    "SlicewisePoolBelowFloor": "floor",
    "SlicewiseDrainBlocked": "drain",
    "SlicewiseFetchStuck": "fetch",
    "SlicewiseWorkersRestart": "often",
    "SlicewiseGatewayErrorsFast": "failing",
    "SlicewiseGatewayErrorsSlow": "failing",
    "SlicewiseLatencyFast": "late",
    "SlicewiseLatencySlow": "late",
    "SlicewiseHealthChecksFail": "late",
    "SlicewiseGatewayFilesRefused": "cut",
    "SlicewiseGatewayCutOff": "cut",
    "SlicewiseHeldInVain": "cut",
    "SlicewiseCacheWithoutRedis": "cut",
    "SlicewiseJobsNotEnding": "backlog",
    "SlicewiseJobsDead": "backlog",
    "SlicewiseWorkersReject": "chat",
    "SlicewiseWorkerUnfit": "chat",
    "SlicewiseDeviceUnread": "chat",
    "SlicewiseMemoryPressure": "chat",
    "SlicewiseMedianLatencyHigh": "chat",
    "SlicewiseP95LatencyHigh": "chat",
    "SlicewiseQueueLong": "chat",
}
"""Alert → the one pool that it fires for."""
OF_THE_OPERATOR = {
    "SlicewisePoolNotReady",
    "SlicewiseReconcileErrors",
    "SlicewisePoolsWaiting",
    "SlicewiseApiServerErrors",
    "SlicewiseWorkersRemoved",
}


def test_durations_become_shorter_and_nothing_else_changes():
    once = shortened_rules(RULES, 1)
    assert [rule.keys() for group in once["groups"] for rule in group["rules"]] == [
        rule.keys() for group in RULES["groups"] for rule in group["rules"]
    ]
    given = {"groups": [{"name": "x", "rules": [{"alert": "A", "expr": "max(a[1d:5m]) / b[6h] > 60", "for": "15m"}]}]}
    wanted = {"alert": "A", "expr": "max(a[1440000ms:5000ms]) / b[360000ms] > 60", "for": "15000ms"}
    assert shortened_rules(given)["groups"] == [{"name": "x", "rules": [wanted]}]
    with pytest.raises(ValueError, match="another form"):
        shortened_rules({"groups": [{"name": "x", "rules": [{"alert": "A", "expr": "a[5m] > b offset 1h"}]}]})
    with pytest.raises(ValueError, match="not divisible"):
        shortened("1s", 7)


def test_every_alert_has_a_state_that_it_fires_in():
    assert {*POOLS, *OF_THE_OPERATOR, "SlicewiseOperatorNotLeading"} == ALERTS


def pool_of(labels: dict[str, str]) -> str | None:
    return labels.get("pool") or labels.get("slicewise_dev_pool")


@pytest.fixture
async def gateways(tmp_path: Path) -> AsyncIterator[dict[str, Rig]]:
    """Real Envoys: one whose workers fail, one whose answers are late and that has a worker which fails its checks, and one in order."""
    limits = {"failing": 30.0, "late": 0.02, "good": 30.0}
    async with AsyncExitStack() as stack:
        found: dict[str, Rig] = {}
        for pool, limit in limits.items():
            workers = [Worker(own_address(), free_port()) for _ in range(2 if pool == "late" else 1)]
            for worker in workers:
                await worker.start()
                stack.push_async_callback(worker.stop)
            (tmp_path / pool).mkdir()
            model = GatewayModel(pool, (route(STABLE),), p95_seconds=limit)
            found[pool] = await stack.enter_async_context(running(tmp_path / pool, model, {f"chat-{STABLE}": workers}))
            workers[0].mode = "fail" if pool == "failing" else "ok"
            workers[0].delay = 0.1 if pool == "late" else 0.0
            workers[-1].ready = pool != "late"
        yield found


async def keep_asking(rig: Rig) -> None:
    while True:
        with suppress(aiohttp.ClientError):
            await rig.ask()
        await asyncio.sleep(0.1)


async def keep_ticking(*parts: WrongOperator | WrongWorker | WrongGateway | WrongJobs) -> None:
    while True:
        for part in parts:
            part.tick()
        await asyncio.sleep(0.1)


async def until_fired(server: Prometheus, wanted: set[str]) -> dict[str, list[dict[str, str]]]:
    """Return the labels of all that has fired until each of `wanted` has; some end before others begin."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SECONDS
    fired: dict[str, list[dict[str, str]]] = {}
    while wanted - fired.keys():
        assert loop.time() < deadline, f"not firing: {sorted(wanted - fired.keys())}"
        for alert, found in (await asyncio.to_thread(server.firing)).items():
            fired.setdefault(alert, []).extend(labels for labels in found if labels not in fired.get(alert, []))
        await asyncio.sleep(0.5)
    return fired


async def until_seen(server: Prometheus, *expressions: str) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + SECONDS
    while missing := [each for each in expressions if not await asyncio.to_thread(server.query, each)]:
        assert loop.time() < deadline, f"not seen: {missing}"
        await asyncio.sleep(0.2)


def unanswered(server: Prometheus) -> list[str]:
    """Return the queries of the dashboards that no pool has an answer to, although all that they name is scraped.

    A query that Prometheus refuses (two series for one, say) raises.
    """
    scraped, pools = server.names(), sorted({*POOLS.values(), "good"})
    found = []
    for board in dashboards().values():
        for panel in json.loads(board)["panels"]:
            for target in panel.get("targets") or ():
                asked = target["expr"].replace("$namespace", "team").replace("$__rate_interval", "10s")
                answers = [server.query(asked.replace("$pool", pool)) for pool in pools]
                named = set(re.findall(r"\b(?:slicewise|envoy|DCGM)[_:][\w:]+", asked)) - {
                    "slicewise_dev_pool",
                    "slicewise_cluster",
                }
                if not any(answers) and named <= scraped:
                    found.append(f"{panel['title']}: {asked}")
    return found


@pytest.mark.timeout(3 * SECONDS)
async def test_each_alert_fires_for_its_pool(tmp_path: Path, gateways: dict[str, Rig]) -> None:
    operator, worker, gateway, jobs, served = WrongOperator(), WrongWorker(), WrongGateway(), WrongJobs(), Served()
    await served.add("operator", operator.metrics.registry)
    await served.add("worker", worker.metrics.registry, namespace="team", pod="w", slicewise_dev_pool="chat")
    await served.add("good-worker", WrongWorker.good().registry, namespace="team", pod="w2", slicewise_dev_pool="good")
    await served.add("agent", gateway.agent.registry, namespace="team", pod="g", slicewise_dev_pool="cut")
    await served.add("edge", gateway.edge.registry, namespace="team", pod="g", slicewise_dev_pool="cut")
    await served.add("jobs", jobs.api.registry, namespace="team", pod="j", slicewise_dev_pool="backlog")
    await served.add("dispatch", jobs.dispatcher.registry, namespace="team", pod="d", slicewise_dev_pool="backlog")
    await served.add("dcgm", dcgm("team", "w"), namespace="gpu-operator", pod="dcgm-exporter")
    for pool, rig in gateways.items():
        served.scrape(
            f"envoy-{pool}", rig.model.ports.stats, "/stats/prometheus", namespace="team", slicewise_dev_pool=pool
        )
    load = [asyncio.create_task(keep_asking(rig)) for rig in gateways.values()]
    load.append(asyncio.create_task(keep_ticking(operator, worker, gateway, jobs)))
    try:
        with prometheus(tmp_path, shortened_rules(RULES), served.scrapes) as server:
            await until_seen(
                server,
                'max_over_time(slicewise_pool_workers{pool="floor",state="ready"}[1m:5s]) == 2',
                'slicewise_pool_worker_restarts_total{pool="often"} == 0',
                'slicewise_worker_device_answers{slicewise_dev_pool="chat"} == 1',
            )
            operator.break_down()
            worker.device = None
            fired = await until_fired(server, {*POOLS, *OF_THE_OPERATOR})
            assert {alert: {pool_of(labels) for labels in fired[alert]} for alert in POOLS} == {
                alert: {pool} for alert, pool in POOLS.items()
            }
            assert [labels["reason"] for labels in fired["SlicewisePoolNotReady"]] == ["Wrong"]
            ours = {name for name in server.names() if name.startswith("slicewise_")}
            assert ours - exported().keys() == set(), "and what is scraped is documented"
            assert (await asyncio.to_thread(unanswered, server)) == []
            operator.step_down()
            await until_fired(server, {"SlicewiseOperatorNotLeading"})
    finally:
        for task in load:
            task.cancel()
        await asyncio.gather(*load, return_exceptions=True)
        await served.stop()
