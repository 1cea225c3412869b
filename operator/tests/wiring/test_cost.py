"""What a pool costs, counted by the operator as a process: real API server, controllers that make pods, a worker's own metrics."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from builders import MIG, pool_object
from prometheus_client import generate_latest
from servers.control_plane import ApiServer
from servers.processes import free_address
from wiring.conftest import controlled_server
from wiring.operator_process import Cluster, OperatorProcess, Operators, eventually
from wiring.test_judged import events, pods_come_up

from slicewise.cost.month import month_end
from slicewise_worker.engine.report import Step
from slicewise_worker.health.metrics import WorkerMetrics

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]
LOOK_SECONDS = 0.2
SECOND = {"currency": "EUR", "slices": {MIG: 3600}, "cpuCore": 360}
"""A slice costs 1 EUR a second, a core a tenth."""


@pytest.fixture(scope="module")
def api_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server of this module's own, with controllers that make pods of Deployments."""
    with controlled_server(tmp_path_factory) as server:
        yield server


class Played:
    """A worker that counts as ours do."""

    def __init__(self) -> None:
        self.metrics = WorkerMetrics()
        self.reads = 0

    def answer(self, requests: int) -> None:
        """Answer requests of a tenant."""
        for _ in range(requests):
            self.metrics.begun("acme", 0.1, 100)
            self.metrics.stepped(Step(0.01, 100, 100, 10))
            self.metrics.generated("acme", 10)
            self.metrics.ended("stop", 0.5, 0.1)

    async def show(self, _: web.Request) -> web.Response:
        self.reads += 1
        return web.Response(body=generate_latest(self.metrics.registry))

    async def info(self, _: web.Request) -> web.Response:
        return web.json_response({"device": "CPU", "on_gpu": False})


@contextlib.asynccontextmanager
async def worker_at(address: str) -> AsyncIterator[Played]:
    """Answer as a worker's pod does on an address of its own."""
    played, app = Played(), web.Application()
    app.router.add_get("/metrics", played.show)
    app.router.add_get("/v1/worker", played.info)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, address, 8080).start()
    try:
        yield played
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def served(cluster: Cluster, address: str, cpu: str = "", **spec: Any) -> AsyncIterator[Played]:
    """A pool with one worker. `cpu`: the address of those of the CPU fallback."""
    async with worker_at(address) as played, pods_come_up(cluster, address, address, cpu):
        cluster.create(pool_object(namespace=cluster.namespace, replicas=1, **spec))
        yield played


async def past_the_turn_of_the_month() -> None:
    """A month's sums start from zero at its beginning, which may come in the middle of a test."""
    left = month_end(time.time()) - time.time()
    if left < 240:
        await asyncio.sleep(left + 1)


def cost(cluster: Cluster) -> dict[str, Any]:
    return dict((cluster.pool().get("status") or {}).get("cost") or {})


def metric(operator: OperatorProcess, cluster: Cluster, name: str, **labels: str) -> float:
    marks = {"namespace": cluster.namespace, "pool": "chat", **labels}
    text = ",".join(f'{label}="{marks[label]}"' for label in sorted(marks))
    return operator.metric(f"slicewise_cost_{name}{{{text}}}")


async def test_money_work_and_budget_outlive_the_operator_and_a_worker_that_counts_from_0_again(
    cluster: Cluster, replicas: Operators, tmp_path: Path
) -> None:
    await past_the_turn_of_the_month()
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps(SECOND))
    settings = {"prices_file": prices, "cost_look_seconds": LOOK_SECONDS}
    operator = await replicas.start(**settings)
    budget = {"budget": {"perMonth": 2, "warnAt": "50%"}}
    async with served(cluster, free_address(), cost=budget) as played:
        await eventually(lambda: played.reads > 1, operator.words())
        played.answer(5)
        await eventually(lambda: metric(operator, cluster, "pool_requests_total") == 5, operator.words())
        assert metric(operator, cluster, "tenant_tokens_total", tenant="acme", kind="generated") == 50
        assert metric(operator, cluster, "pool_per_hour") == 3600
        await eventually(lambda: cluster.condition("BudgetAtRisk").get("reason") == "BudgetSpent", operator.words())
        await eventually(lambda: "BudgetSpent" in events(cluster), "the Event")
        await eventually(lambda: cost(cluster).get("requests") == 5, operator.words())
        stored = cost(cluster)
        assert (stored["currency"], stored["perHour"], stored["tenants"][0]["name"]) == ("EUR", 3600.0, "acme")

        operator.kill()
        played.metrics = WorkerMetrics()
        played.answer(1)
        another = await replicas.start(**settings)
        read = played.reads
        await eventually(lambda: played.reads > read + 1, another.words())
        played.answer(2)
        await eventually(lambda: cost(cluster).get("requests") == 7, another.words())
        after = cost(cluster)
        assert all(after["spend"][use] >= amount for use, amount in stored["spend"].items())
        assert after["spend"]["assumed"] > 0
        assert cluster.condition("BudgetAtRisk")["reason"] == "BudgetSpent"

        prices.write_text(json.dumps({"currency": "EUR"}))
        await eventually(lambda: "perHour" not in cost(cluster), another.words())
        assert metric(another, cluster, "pool_per_hour") == 0, "no sample"
        assert metric(another, cluster, "pool_unpriced_seconds_total") > 0


async def test_what_the_cpu_fallback_answers_and_costs_is_counted_with_the_rest(
    cluster: Cluster, replicas: Operators, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.json"
    prices.write_text(json.dumps(SECOND))
    operator = await replicas.start(prices_file=prices, cost_look_seconds=LOOK_SECONDS)
    spec = {"fallback": {"cpu": {"cores": "2", "memory": "1Gi", "replicas": 1, "warm": True}}}
    address = free_address()
    async with worker_at(address) as cpu, served(cluster, free_address(), address, **spec) as played:
        await eventually(lambda: played.reads > 1 and cpu.reads > 1, operator.words())
        played.answer(2)
        cpu.answer(3)
        await eventually(lambda: metric(operator, cluster, "pool_requests_total") == 5, operator.words())
        assert metric(operator, cluster, "pool_paid_requests_total") == 5
        assert metric(operator, cluster, "tenant_requests_total", tenant="acme") == 5
        assert metric(operator, cluster, "pool_per_hour") == 3600 + 720
        assert metric(operator, cluster, "pool_spend_total", use="fallback") > 0
        assert metric(operator, cluster, "pool_spend_total", use="fallback_idle") > 0


async def test_an_installation_without_prices_asks_no_worker_and_shows_no_cost(
    cluster: Cluster, replicas: Operators
) -> None:
    operator = await replicas.start(cost_look_seconds=LOOK_SECONDS)
    async with served(cluster, free_address(), cost={"budget": {"perMonth": 2}}) as played:
        await eventually(lambda: cluster.condition("BudgetAtRisk").get("status") == "Unknown", operator.words())
        await eventually(operator.resting, operator.words())
        assert played.reads == 0
        assert cost(cluster) == {}
        assert "chart's values" in cluster.condition("BudgetAtRisk")["message"]
