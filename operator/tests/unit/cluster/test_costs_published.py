"""What the costing publishes for the pool's status, and when; what the next leader goes on from."""

from __future__ import annotations

import pytest
from builders import MIG
from unit.cluster.test_costing import Scene, serving
from unit.cluster.test_shown import node, worker

from slicewise.clients.resources import NODES, PODS
from slicewise.cost.prices import Prices
from slicewise.cost.work import Tokens, WorkerCounts


class TestPublishing:
    """What goes to the pool's status, and when."""

    def test_a_new_pool_is_published_at_once_and_then_each_quarter_of_an_hour(self) -> None:
        scene = Scene()
        scene.cache.ingest(PODS, serving("w"))
        scene.said.counts_of["w"] = WorkerCounts()
        scene.look(32)

        assert [published.at for published in scene.published] == [scene.start, scene.start + 900]
        assert scene.published[1].month.spend.idle == pytest.approx(0.9)

    def test_a_rate_that_changes_is_published_after_a_minute(self) -> None:
        scene = Scene()
        scene.look()
        scene.cache.ingest(PODS, worker("w", "here"))
        scene.look(4)

        assert [published.rate for published in scene.published] == [0.0, 3.6]
        assert scene.published[1].at == scene.start + 60

    def test_a_budget_that_is_nearly_spent_is_published_after_a_minute(self) -> None:
        scene = Scene(cost={"budget": {"perMonth": "0.10"}})
        scene.cache.ingest(PODS, worker("w", "here"))
        scene.look(5)

        assert [published.at - scene.start for published in scene.published] == [0, 90]

    def test_a_budget_of_a_spec_that_is_not_accepted_is_none(self) -> None:
        scene = Scene(cost={"budget": {"perMonth": "much"}})
        scene.cache.ingest(PODS, worker("w", "here"))
        scene.look(5)

        assert len(scene.published) == 1

    def test_the_next_leader_goes_on_from_the_status_and_writes_nothing_before_it_is_due(self) -> None:
        scene = Scene()
        spend = {"idle": 5.0, "paidRequests": 4.0}
        tenants = [{"name": "team", "requests": 4.0, "generated": 9.0}]
        scene.store_cost(at=scene.start - 60, perHour=3.6, spend=spend, requests=4.0, tenants=tenants)
        scene.cache.ingest(PODS, worker("w", "here"))
        account = scene.look(2)

        assert account.month.spend.total == pytest.approx(5.0 + 0.06 + 0.03)
        assert account.month.work.tenants == {"team": Tokens(4.0, generated=9.0)}
        assert scene.published == []

    def test_a_status_that_says_nothing_that_can_be_used_begins_with_nothing(self) -> None:
        scene = Scene()
        scene.store_cost(at=scene.start, since="the first", spend={"idle": -5.0})

        assert scene.look(2).month.spend.total == 0.0

    def test_a_pool_at_zero_says_what_a_worker_would_cost(self) -> None:
        scene = Scene()
        marked = node("here", 4)
        marked["metadata"] |= {"resourceVersion": "2"}
        marked["metadata"]["labels"] |= {f"{MIG}.memory": "9728"}
        scene.cache.ingest(NODES, marked)
        scene.look()

        assert scene.published[0].worker == 3.6

    @pytest.mark.parametrize(("used", "cheaper"), [(3e9, "nvidia.com/mig-1g.5gb"), (5e9, None), (None, None)])
    def test_a_cheaper_profile_is_named_where_it_holds_what_is_in_use(
        self, used: float | None, cheaper: str | None
    ) -> None:
        scene = Scene(Prices("EUR", {MIG: 3.6, "nvidia.com/mig-1g.5gb": 2.0}))
        other = node("other", 0)
        other["status"]["allocatable"] = {"nvidia.com/mig-1g.5gb": "7"}
        other["metadata"]["labels"] |= {"nvidia.com/mig-1g.5gb.memory": "4864"}
        scene.cache.ingest(NODES, other)
        scene.cache.ingest(PODS, serving("w"))
        scene.said.counts_of["w"] = WorkerCounts(memory_bytes=used)
        scene.look()

        found = scene.published[0].cheaper
        assert (found.resource if found else None) == cheaper
