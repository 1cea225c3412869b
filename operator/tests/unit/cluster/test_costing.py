"""Costing: what the cache holds and workers say, priced, and shown to Prometheus."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from builders import MIG
from prometheus_client.parser import text_string_to_metric_families
from unit.cluster.test_shown import KEY, node, worker

from slicewise.clients.resources import NODES, PODS, POOLS
from slicewise.cluster.cache import Cache
from slicewise.cluster.costing import Costing, costs_now, slice_rates
from slicewise.cost.account import Account
from slicewise.cost.month import month_start
from slicewise.cost.prices import Prices
from slicewise.cost.published import Published
from slicewise.cost.work import Tokens, WorkerCounts
from slicewise.pool.rollout.times import format_time
from slicewise.telemetry.cost import CostCollector
from slicewise.telemetry.metrics import Metrics

LIST = Prices("EUR", {MIG: 3.6}, core=1.8)


class Clock:
    """One that a test moves."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> float:
        return 1_795_300_000.0 + self.seconds

    def monotonic(self) -> float:
        return self.seconds


class Said:
    """Workers that say what a test puts here; by address."""

    def __init__(self) -> None:
        self.counts_of: dict[str, WorkerCounts] = {}

    async def counts(self, address: str) -> WorkerCounts | None:
        return self.counts_of.get(address)


class Scene:
    """A pool on one node, with a clock."""

    def __init__(self, prices: Prices | None = LIST, **spec: Any) -> None:
        self.cache, self.clock, self.said, self.prices = Cache(), Clock(), Said(), prices
        metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "1"}
        self.cache.ingest(POOLS, {"metadata": metadata, "spec": spec})
        self.cache.pools[KEY].resource = MIG
        self.cache.ingest(NODES, node("here", 4))
        self.published: list[Published] = []
        self.start = self.clock.now()
        workers: Any = self.said
        self.costing = Costing(self.cache, workers, self.clock, lambda: self.prices, self._published)

    def _published(self, key: tuple[str, str]) -> None:
        found = self.cache.pools[key].cost
        assert found is not None
        self.published.append(found)

    def store_cost(self, *, at: float, **cost: Any) -> None:
        """Give the pool a status with that cost."""
        times = {"at": format_time(at), "since": format_time(month_start(at))}
        metadata = {"name": "chat", "namespace": "default", "uid": "pool-1", "resourceVersion": "2"}
        self.cache.ingest(POOLS, {"metadata": metadata, "spec": {}, "status": {"cost": {**times, **cost}}})

    def look(self, times: int = 1) -> Account:
        for _ in range(times):
            asyncio.run(self.costing.look())
            self.clock.seconds += 30.0
        account = self.cache.pools[KEY].account
        assert account is not None
        return account

    def metrics(self) -> dict[tuple[str, ...], float]:
        metrics = Metrics()
        metrics.add(
            CostCollector(
                lambda: self.prices.currency if self.prices else "",
                lambda: costs_now(self.cache),
                lambda: slice_rates(self.cache, self.prices),
            )
        )
        families = text_string_to_metric_families(metrics.render().decode())
        return {
            (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("slicewise_cost")
        }


def serving(name: str, container: str = "c1") -> dict[str, Any]:
    return worker(
        name, "here", ready=True, podIP=name, containerStatuses=[{"name": "worker", "containerID": container}]
    )


def test_a_worker_costs_its_slice_from_its_place_on_a_node_until_it_is_gone() -> None:
    scene = Scene()
    scene.cache.ingest(PODS, worker("waits", None))
    scene.cache.ingest(PODS, worker("starts", "here"))
    account = scene.look(2)
    assert (account.rate, account.month.spend.starting) == (3.6, pytest.approx(0.03))

    scene.cache.ingest(PODS, worker("starts", "here"), deleted=True)
    assert scene.look().rate == 0.0


def test_a_nodes_label_is_what_its_slices_cost() -> None:
    scene = Scene()
    marked = node("here", 4)
    marked["metadata"] |= {"resourceVersion": "2"}
    marked["metadata"]["labels"] |= {"price.slicewise.dev/mig-1g.10gb": "7.2"}
    scene.cache.ingest(NODES, marked)
    scene.cache.ingest(PODS, worker("w", "here"))

    assert scene.look().rate == 7.2


def test_a_worker_without_a_slice_costs_the_cores_that_it_asks_for() -> None:
    pod = worker("w", "here")
    pod["spec"]["containers"] = [{"name": "worker", "resources": {"requests": {"cpu": "1500m"}}}]
    scene = Scene()
    scene.cache.ingest(PODS, pod)
    assert scene.look().rate == pytest.approx(2.7)

    scene.prices = Prices("EUR", {MIG: 3.6})
    assert scene.look().rate is None


def fallback_pod(name: str, cores: str, *, ready: bool = True) -> dict[str, Any]:
    pod = serving(name) if ready else worker(name, "here")
    pod["metadata"]["labels"]["slicewise.dev/role"] = "fallback"
    pod["metadata"]["ownerReferences"][0]["name"] = "chat-fallback-5d5d5d5d5d"
    pod["spec"]["containers"] = [{"name": "worker", "resources": {"requests": {"cpu": cores}}}]
    return pod


def test_pods_of_the_fallback_cost_their_cores_from_their_place_on_a_node_until_they_are_gone() -> None:
    scene = Scene()
    for pod in (fallback_pod("a", "500m"), fallback_pod("b", "500m"), fallback_pod("c", "500m", ready=False)):
        scene.cache.ingest(PODS, pod)
    assert scene.look().rate == pytest.approx(2.7)
    scene.cache.ingest(PODS, fallback_pod("b", "500m"), deleted=True)
    assert scene.look().rate == pytest.approx(1.8)
    scene.prices = Prices("EUR", {MIG: 3.6})
    assert scene.look().rate is None


def test_what_the_fallback_answers_is_in_requests_tokens_and_tenants() -> None:
    scene = Scene()
    for pod in (serving("w"), fallback_pod("c", "2")):
        scene.cache.ingest(PODS, pod)
    scene.said.counts_of |= {"w": WorkerCounts(), "c": WorkerCounts()}
    scene.look()
    scene.said.counts_of["c"] = WorkerCounts(3, 15.0, {"team": Tokens(3, 50, 10, 40)})
    scene.look()
    shown, pool = scene.metrics(), ("default", "chat")

    uses = {use: shown["slicewise_cost_pool_spend_total", *pool, use] for use in ("idle", "fallback", "fallback_idle")}
    assert uses == pytest.approx({"idle": 0.03, "fallback": 0.015, "fallback_idle": 0.015})
    assert shown["slicewise_cost_pool_paid_requests_total", *pool] == 3
    assert shown["slicewise_cost_pool_paid_tokens_total", *pool] == 80
    assert shown["slicewise_cost_tenant_requests_total", *pool, "team"] == 3
    assert shown["slicewise_cost_tenant_spend_total", *pool, "team"] == pytest.approx(0.015)


def test_the_price_of_a_worker_and_the_memory_that_it_needs_are_those_of_slices() -> None:
    scene = Scene()
    for pod in (serving("w"), fallback_pod("c", "2")):
        scene.cache.ingest(PODS, pod)
    scene.look(2)

    assert (scene.published[0].rate, scene.published[0].worker) == (pytest.approx(7.2), 3.6)


def test_what_workers_did_is_asked_of_the_ones_that_serve() -> None:
    scene = Scene()
    scene.cache.ingest(PODS, serving("w"))
    scene.said.counts_of["w"] = WorkerCounts()
    scene.look()
    scene.said.counts_of["w"] = WorkerCounts(3, 15.0, {"team": Tokens(3, 50, 0, 50)})
    account = scene.look()

    assert account.month.work.answered == 3
    assert (account.month.spend.busy, account.month.spend.idle) == (pytest.approx(0.015), pytest.approx(0.015))


def test_a_pool_that_is_made_again_under_its_name_begins_again() -> None:
    scene = Scene()
    scene.cache.ingest(PODS, worker("w", "here"))
    scene.look(2)
    metadata = {"name": "chat", "namespace": "default", "uid": "pool-2", "resourceVersion": "9"}
    scene.cache.ingest(POOLS, {"metadata": metadata, "spec": {}})

    assert scene.look().month.spend.total == 0.0


def test_without_prices_nothing_is_asked_kept_or_shown() -> None:
    scene = Scene()
    scene.look()
    scene.prices = None
    asyncio.run(scene.costing.look())

    assert scene.cache.pools[KEY].account is None
    assert scene.metrics() == {}


def test_prometheus_sees_money_and_work_by_pool_and_tenant() -> None:
    scene = Scene()
    scene.cache.ingest(PODS, serving("w"))
    scene.said.counts_of["w"] = WorkerCounts()
    scene.look()
    scene.said.counts_of["w"] = WorkerCounts(3, 15.0, {"team": Tokens(3, 50, 10, 40)})
    scene.look()
    shown, pool = scene.metrics(), ("default", "chat")

    assert shown["slicewise_cost_info", "EUR"] == 1
    assert shown["slicewise_cost_pool_per_hour", *pool] == 3.6
    assert shown["slicewise_cost_pool_spend_total", *pool, "busy"] == pytest.approx(0.015)
    assert shown["slicewise_cost_pool_month_spend", *pool] == pytest.approx(0.03)
    assert shown["slicewise_cost_pool_requests_total", *pool] == 3
    assert shown["slicewise_cost_pool_paid_tokens_total", *pool] == 80
    assert shown["slicewise_cost_tenant_tokens_total", "generated", *pool, "team"] == 40
    assert shown["slicewise_cost_tenant_requests_total", *pool, "team"] == 3
    assert shown["slicewise_cost_tenant_spend_total", *pool, "team"] == pytest.approx(0.015)
    assert shown["slicewise_cost_slices_per_hour", MIG, "held", "a"] == pytest.approx(3.6)
    assert shown["slicewise_cost_slices_per_hour", MIG, "open", "a"] == pytest.approx(3 * 3.6)


def test_prometheus_sees_what_is_spent_of_a_budget() -> None:
    scene = Scene(cost={"budget": {"perMonth": "0.10"}})
    scene.cache.ingest(PODS, worker("w", "here"))
    scene.look(2)
    shown = scene.metrics()

    assert shown["slicewise_cost_budget_month", "default", "chat"] == 0.1
    assert shown["slicewise_cost_budget_spent_ratio", "default", "chat"] == pytest.approx(0.3)


def test_what_has_no_price_has_no_sample_and_its_seconds_are_counted() -> None:
    scene = Scene(Prices("EUR"))
    scene.cache.ingest(PODS, worker("w", "here"))
    scene.look(2)
    shown = scene.metrics()

    assert ("slicewise_cost_pool_per_hour", "default", "chat") not in shown
    assert not [key for key in shown if key[0] == "slicewise_cost_slices_per_hour" and shown[key]]
    assert ("slicewise_cost_slices_per_hour", MIG, "open", "a") not in shown
    assert shown["slicewise_cost_pool_unpriced_seconds_total", "default", "chat"] == 30.0
