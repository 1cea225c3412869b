"""What `cost` prints, word for word, and what it says where something is not known."""

from __future__ import annotations

import json
from typing import Any

import pytest
import samples
from builders import MIG
from inline_snapshot import snapshot
from unit.test_rendering import printed

from slicewise_cli.options import Form
from slicewise_cli.view.cost import Free, read_cost, read_free
from slicewise_cli.view.cost_lines import cost_lines, cost_table
from slicewise_cli.view.data import dump
from slicewise_cli.view.slices import read_slices

COST: dict[str, Any] = {
    "currency": "EUR",
    "at": "2026-11-16T00:00:00Z",
    "since": "2026-11-01T00:00:00Z",
    "perHour": 1.05,
    "workerPerHour": 0.35,
    "spend": {
        "busy": 90.0,
        "idle": 260.0,
        "starting": 10.0,
        "assumed": 1.5,
        "sleepable": 120.0,
        "paidRequests": 180_000.0,
        "paidTokens": 45_000_000.0,
    },
    "requests": 180_000.0,
    "tenants": [
        {"name": "", "requests": 20_000.0, "prompt": 4e6, "generated": 1e6, "spend": 10.0},
        {"name": "acme", "requests": 160_000.0, "prompt": 30e6, "cached": 10e6, "generated": 20e6, "spend": 80.0},
    ],
    "cheaper": {"resource": "nvidia.com/mig-1g.5gb", "perHour": 0.2},
}
FREE = [Free(MIG, 2, 6, 0.70)]


def pool(said: dict[str, Any] | None = COST, **spec: Any) -> dict[str, Any]:
    found = samples.idle(**spec)
    found["status"]["replicas"] = 3
    if said is not None:
        found["status"]["cost"] = {name: value for name, value in said.items() if value is not None}
    return found


def one(**changed: Any) -> str:
    spec = changed.pop("spec", {})
    return printed(cost_lines(read_cost(pool({**COST, **changed}, **spec)), FREE))


def test_a_pool_with_all_that_can_be_said() -> None:
    assert one(spec={"cost": {"budget": {"perMonth": "500"}}}) == snapshot("""\

chat  namespace team-a; EUR, from 2026-11-01T00:00:00Z to 2026-11-16T00:00:00Z

per hour            1.05; a worker 0.35
month               361.50; 739.50 at its end, at the rate of now
  busy              90.00
  idle              260.00
  starting          10.00
  assumed           1.50
per 1,000 requests  2.00  (180000 answered)
per 1M tokens       8.00
budget              500.00 (72%)

idle slices         260.00 (72%) for ready workers without a request
scaling to zero     would have saved 120.00 this month
another profile     nvidia.com/mig-1g.5gb would save 0.45 an hour, 328.50 a month
2 of 6 slices nvidia.com/mig-1g.10gb are free: 0.7 EUR an hour

TENANT  REQUESTS  TOKENS    SHARE  COST
acme    160000    40000000  90.9%  325.45
(none)  20000     5000000   9.1%   34.55
""")


def test_a_pool_on_the_cpu_fallback_shows_what_it_cost_apart_and_in_each_request() -> None:
    said = one(
        spend={"busy": 6.0, "fallback": 3.0, "fallbackIdle": 1.0, "paidRequests": 1000.0, "paidTokens": 2e6},
        requests=1000.0,
        tenants=[{"name": "acme", "requests": 1000.0, "prompt": 1e6, "generated": 1e6, "spend": 9.0}],
    )

    assert "  fallback          3.00\n  fallback_idle     1.00\n" in said
    assert "per 1,000 requests  10.00  (1000 answered)" in said
    assert "per 1M tokens       5.00" in said
    assert "acme    1000      2000000  100.0%  10.00" in said


def test_another_profile_saves_for_workers_on_slices_alone() -> None:
    with_fallback = pool({**COST, "perHour": 1.05 + 8 * 0.04})

    assert read_cost(with_fallback).cheaper_per_hour == pytest.approx(3 * (0.35 - 0.2))


def test_a_price_that_is_missing_is_unknown_and_not_0() -> None:
    said = one(perHour=None, workerPerHour=None, cheaper=None, spend={"unpricedSeconds": 7200.0})

    assert "per hour            unknown: a price is missing" in said
    assert "month               unknown" in said
    assert "per 1,000 requests  unknown" in said
    assert "per 1M tokens       unknown" in said
    assert "scaling to zero     unknown" in said
    assert "2.0 hours of workers without a known price are in no amount" in said
    assert "0.00" not in said


def test_a_pool_without_a_request_has_no_price_for_one() -> None:
    said = one(spend={"idle": 5.0}, requests=0.0, tenants=None)

    assert "per 1,000 requests  no request yet  (0 answered)" in said
    assert "TENANT" not in said


def test_a_capped_pool_says_what_the_rest_pays_for_and_a_gap_is_told() -> None:
    said = one(
        maxReplicas=2, spend={"idle": 5.0, "uncountedSeconds": 5400.0}, spec={"cost": {"budget": {"perMonth": 10}}}
    )

    assert "budget              10.00 (50%); the rest pays for 2 workers" in said
    assert "1.5 hours were not looked at" in said


def test_all_pools_as_a_table() -> None:
    unknown = pool({**COST, "perHour": None, "spend": {"unpricedSeconds": 60.0}})
    unknown["metadata"]["name"] = "dear"
    costs = [read_cost(pool(cost={**COST})), read_cost(unknown)]

    assert printed(cost_table(costs, FREE)) == snapshot("""\

NAME  PER HOUR  MONTH    IDLE          PER 1,000 REQUESTS  PER 1M TOKENS  BUDGET
chat  1.05      361.50   260.00 (72%)  2.00                8.00           -
dear  unknown   unknown  unknown       unknown             unknown        -

in EUR; the month is the calendar month in UTC
2 of 6 slices nvidia.com/mig-1g.10gb are free: 0.7 EUR an hour
""")


def test_where_costs_are_not_counted_it_says_what_to_do() -> None:
    cost = read_cost(pool(None))

    assert "currency and prices in the chart's values" in printed(cost_lines(cost, FREE))
    assert "currency and prices in the chart's values" in printed(cost_table([cost], FREE))


def test_the_data_has_null_for_what_is_not_known() -> None:
    data = json.loads(dump(read_cost(pool({**COST, "perHour": None, "cheaper": None})), Form.JSON))

    assert (data["perHour"], data["forecast"], data["cheaperPerHour"]) == (None, None, None)
    assert data["perThousandRequests"] == 2.0
    assert sum(tenant["money"] for tenant in data["tenants"]) == 360.0


def node(name: str, offers: int, **labels: str) -> dict[str, Any]:
    status = {"allocatable": {MIG: str(offers)}, "conditions": [{"type": "Ready", "status": "True"}]}
    return {"metadata": {"name": name, "uid": name, "labels": labels}, "spec": {}, "status": status}


def test_free_slices_cost_what_a_worker_does_or_the_nodes_label_says() -> None:
    nodes = [node("node-a", 2), node("spot", 3, **{"price.slicewise.dev/mig-1g.10gb": "0.1"})]
    rows = read_slices(nodes, samples.workers()[:1])
    (found,) = read_free(rows, nodes, [pool()])
    (unknown,) = read_free(rows, nodes, [])

    assert (found.free, found.offered, round(found.per_hour or 0, 9)) == (4, 5, 0.65)
    assert unknown.per_hour is None
    assert "their price is unknown" in printed(cost_table([read_cost(pool())], [unknown]))
