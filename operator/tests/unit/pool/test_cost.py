"""What a plan says of a pool's cost, and what its budget does to the number of workers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from builders import MIG, make_observed, make_pool
from unit.pool.test_scaling import busy, workers
from unit.pool.test_scaling import condition as scaling_of

from slicewise.api.v1alpha1.status import PoolStatus
from slicewise.autoscaling.window import Load
from slicewise.cost.published import Published
from slicewise.cost.savings import Offer
from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import OTHER, Tokens, Work
from slicewise.pool.cost import MOST_TENANTS, read_month
from slicewise.pool.outcome import PoolPlan
from slicewise.pool.plan import plan_pool

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC).timestamp()
MIDDLE = datetime(2026, 11, 16, tzinfo=UTC).timestamp()
"""360 hours before the month's end."""


def figures(spent: float = 0.0, *, rate: float | None = 3.0, worker: float | None = 1.0, **changed: Any) -> Published:
    month = Sums(Spend(idle=spent), Work(4, {"team": Tokens(4, 100, 10, 50)}))
    return Published("EUR", MIDDLE, NOVEMBER, rate, worker, changed.pop("month", month), **changed)


def planned(
    cost: Published | None,
    *,
    budget: dict[str, Any] | None = None,
    load: Load | None = None,
    status: dict[str, Any] | None = None,
    counts: bool = True,
    **scaling: Any,
) -> PoolPlan:
    spec: dict[str, Any] = {"autoscaling": {"maxReplicas": 6, **scaling}} if scaling or load else {}
    if budget is not None:
        spec["cost"] = {"budget": budget}
    observed = make_observed(cost=cost, status=status or {}, load=load or Load(), counts_costs=counts)
    return plan_pool(make_pool(**spec), observed, MIDDLE)


def at_risk(plan: PoolPlan) -> dict[str, Any]:
    return next((dict(item) for item in plan.status["conditions"] if item["type"] == "BudgetAtRisk"), {})


def test_the_status_has_the_figures_and_gives_them_back_whole() -> None:
    spend = Spend(*(float(number) for number in range(1, len(Spend.__slots__) + 1)))
    work = Work(7, {"": Tokens(1, 2, 3, 4, 5.5), "team": Tokens(9, 8, 7, 6, 5)})
    status = planned(figures(month=Sums(spend, work), cheaper=Offer("nvidia.com/small", 1e9, 0.4))).status
    cost = status["cost"]

    assert (cost["currency"], cost["perHour"], cost["workerPerHour"]) == ("EUR", 3.0, 1.0)
    assert cost["cheaper"] == {"resource": "nvidia.com/small", "perHour": 0.4}
    stored = read_month(PoolStatus.read(status).cost)
    assert stored is not None
    assert stored.month == Sums(spend, work)
    assert (stored.since, stored.at, stored.rate) == (NOVEMBER, MIDDLE, 3.0)


def test_a_rate_that_is_not_known_is_absent_and_not_0() -> None:
    cost = planned(figures(rate=None, worker=None)).status["cost"]

    assert not {"perHour", "workerPerHour", "cheaper"} & cost.keys()


def test_the_status_names_the_twenty_tenants_with_most_work_and_sums_up_the_rest() -> None:
    work = Work(0, {OTHER: Tokens(5), **{f"t{n:02}": Tokens(1, float(n + 1)) for n in range(30)}})
    tenants = planned(figures(month=Sums(Spend(), work))).status["cost"]["tenants"]

    assert [one["name"] for one in tenants] == [*(f"t{n:02}" for n in range(10, 30)), OTHER]
    assert len(tenants) == MOST_TENANTS + 1
    assert tenants[-1]["requests"] == 15


def test_what_is_stored_stays_until_a_new_leader_has_published_and_goes_where_costs_are_not_counted() -> None:
    stored = planned(figures(12.0)).status

    assert planned(None, status=stored).status["cost"] == stored["cost"]
    assert "cost" not in planned(None, status=stored, counts=False).status
    assert "cost" not in planned(None).status


@pytest.mark.parametrize(
    ("cost", "status", "reason"),
    [
        (figures(0), "False", "WithinBudget"),
        (figures(79), "False", "WithinBudget"),
        (figures(80), "True", "BudgetNearlySpent"),
        (figures(100), "True", "BudgetSpent"),
        (figures(0, rate=None), "Unknown", "PriceUnknown"),
        (figures(90, rate=None), "True", "BudgetNearlySpent"),
        (None, "Unknown", "PriceUnknown"),
    ],
)
def test_a_budget_of_100_warns(cost: Published | None, status: str, reason: str) -> None:
    found = at_risk(planned(cost, budget={"perMonth": 100}))

    assert (found["status"], found["reason"]) == (status, reason)


def test_a_budget_that_cannot_be_watched_says_what_to_do_and_a_pool_without_one_says_nothing() -> None:
    assert "chart's values" in at_risk(planned(None, budget={"perMonth": 100}, counts=False))["message"]
    assert at_risk(planned(figures(100))) == {}


def test_the_warning_is_an_event_once_and_another_when_all_is_spent() -> None:
    before = planned(figures(0), budget={"perMonth": 100})
    near = planned(figures(85), budget={"perMonth": 100}, status=dict(before.status))
    again = planned(figures(86), budget={"perMonth": 100}, status=dict(near.status))
    spent = planned(figures(101), budget={"perMonth": 100}, status=dict(again.status))

    told = [[(item.type, item.reason) for item in plan.events] for plan in (near, again, spent)]
    assert ("Warning", "BudgetNearlySpent") in told[0]
    assert told[1] == []
    assert ("Warning", "BudgetSpent") in told[2]


def test_a_new_leader_keeps_what_the_budget_said() -> None:
    before = planned(figures(85), budget={"perMonth": 100})

    assert at_risk(planned(None, budget={"perMonth": 100}, status=dict(before.status))) == at_risk(before)


class TestCaps:
    """360 hours are left, and a worker costs 1 an hour."""

    @pytest.mark.parametrize(
        ("month", "spent", "number", "reason"),
        [
            (1500, 0, 4, "LimitedByBudget"),
            (1500, 600, 2, "LimitedByBudget"),
            (1500, 1500, 1, "LimitedByBudget"),
            (9000, 0, 6, "AtMaxReplicas"),
        ],
    )
    def test_the_load_gets_the_workers_that_the_rest_of_the_budget_pays_for(
        self, month: int, spent: float, number: int, reason: str
    ) -> None:
        plan = planned(figures(spent), budget={"perMonth": month, "capReplicas": True}, load=busy(100), minReplicas=0)

        assert (workers(plan), scaling_of(plan)["reason"]) == (number, reason)

    def test_neither_min_replicas_nor_a_floor_is_cut(self) -> None:
        budget = {"perMonth": 1, "capReplicas": True}

        assert workers(planned(figures(50), budget=budget, load=busy(100), minReplicas=2)) == 2

    def test_without_being_asked_a_budget_only_warns(self) -> None:
        plan = planned(figures(200), budget={"perMonth": 100}, load=busy(100))

        assert workers(plan) == 6
        assert "maxReplicas" not in plan.status["cost"]

    def test_no_number_follows_from_a_price_that_is_not_known(self) -> None:
        budget = {"perMonth": 1, "capReplicas": True}

        assert workers(planned(figures(0, rate=None, worker=None), budget=budget, load=busy(100))) == 6

    def test_a_new_leader_keeps_the_number_until_it_has_counted(self) -> None:
        budget = {"perMonth": 1500, "capReplicas": True}
        before = planned(figures(0), budget=budget, load=busy(100))
        after = planned(None, budget=budget, load=busy(100), status=dict(before.status))

        assert before.status["cost"]["maxReplicas"] == after.status["cost"]["maxReplicas"] == 4
        assert workers(after) == 4


def test_a_plan_made_twice_writes_nothing_new() -> None:
    before = planned(figures(85), budget={"perMonth": 1500, "capReplicas": True}, load=busy(100))
    again = planned(
        figures(85), budget={"perMonth": 1500, "capReplicas": True}, load=busy(100), status=dict(before.status)
    )

    assert again.status["cost"] == before.status["cost"]
    assert MIG in str(again.status["slice"])
