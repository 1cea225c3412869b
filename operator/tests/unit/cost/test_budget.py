"""Budgets and savings, by tables."""

from __future__ import annotations

from datetime import UTC, datetime

import patient_properties  # noqa: F401  # imported for what it does
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.cost.budget import Budget, Standing, standing, workers_paid
from slicewise.cost.month import month_end, month_start
from slicewise.cost.savings import Offer, cheapest_fit

HOUR = 3600.0
GB = 1e9


@pytest.mark.parametrize(
    ("spent", "priced", "found"),
    [
        (0, True, Standing.WITHIN),
        (79.9, True, Standing.WITHIN),
        (80, True, Standing.NEAR),
        (100, True, Standing.SPENT),
        (0, False, Standing.UNKNOWN),
        (80, False, Standing.NEAR),
        (130, False, Standing.SPENT),
    ],
)
def test_how_a_budget_of_100_stands(spent: float, priced: bool, found: Standing) -> None:
    assert standing(Budget(100), spent, priced=priced) is found


@pytest.mark.parametrize(
    ("spent", "price", "hours", "before", "workers"),
    [
        (0, 1.0, 720, None, 4),  # 3,000 / 720 = 4.17
        (0, 1.0, 720, 3, 4),  # above 4.1
        (90, 1.0, 720, 3, 3),  # 4.04: not above the margin
        (90, 1.0, 720, 4, 4),
        (121, 1.0, 720, 4, 3),  # 3.999: less at once
        (3000, 1.0, 360, 4, 0),
        (9000, 1.0, 360, None, 0),
        (2990, 1.0, 0.1, None, 10),  # the last hour counts as a whole one
        (0, None, 720, 3, None),
        (0, 0.0, 720, 3, None),
    ],
)
def test_workers_that_the_rest_of_3000_pays_for(
    spent: float, price: float | None, hours: float, before: int | None, workers: int | None
) -> None:
    assert workers_paid(Budget(3000), spent, price, hours * HOUR, before) == workers


@given(amount=st.floats(1, 1e5), price=st.floats(0.01, 20), load=st.lists(st.integers(0, 40), min_size=1, max_size=744))
def test_a_pool_that_keeps_to_the_cap_ends_the_month_within_its_budget(
    amount: float, price: float, load: list[int]
) -> None:
    spent, cap = 0.0, None
    for hour, wanted in enumerate(load):
        cap = workers_paid(Budget(amount), spent, price, (len(load) - hour) * HOUR, cap)
        assert cap is not None
        spent += min(wanted, cap) * price

    assert spent <= amount * (1 + 1e-9)


OFFERS = [
    Offer("mig-1g.10gb", 10 * GB, 0.3),
    Offer("mig-2g.20gb", 20 * GB, 0.6),
    Offer("odd-2g.20gb", 20 * GB, 0.6),
    Offer("mig-7g.80gb", 80 * GB, 2.0),
]


@pytest.mark.parametrize(
    ("needed", "price", "found"),
    [
        (6 * GB, 2.0, "mig-1g.10gb"),
        (11 * GB, 2.0, "mig-2g.20gb"),
        (21 * GB, 2.0, None),
        (6 * GB, 0.3, None),
        (None, 2.0, None),
        (6 * GB, None, None),
    ],
)
def test_the_cheapest_profile_that_holds_what_is_in_use(
    needed: float | None, price: float | None, found: str | None
) -> None:
    fit = cheapest_fit(reversed(OFFERS), needed, price)

    assert (fit.resource if fit else None) == found


@pytest.mark.parametrize(
    ("now", "begins", "ends"),
    [
        (datetime(2026, 2, 28, 23, 59, tzinfo=UTC), (2026, 2), (2026, 3)),
        (datetime(2026, 12, 1, tzinfo=UTC), (2026, 12), (2027, 1)),
    ],
)
def test_months_are_calendar_months_in_utc(now: datetime, begins: tuple[int, int], ends: tuple[int, int]) -> None:
    assert month_start(now.timestamp()) == datetime(*begins, 1, tzinfo=UTC).timestamp()
    assert month_end(now.timestamp()) == datetime(*ends, 1, tzinfo=UTC).timestamp()
