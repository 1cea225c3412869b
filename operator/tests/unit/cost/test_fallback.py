"""The account of a pool whose requests the CPU fallback answers: its money is kept apart, its work is not."""

from __future__ import annotations

import pytest
from unit.cost.test_account import BUSY, IDLE, approx, counts, looked, worker

from slicewise.cost.account import Held
from slicewise.cost.figures import per_million_tokens, per_thousand_requests, tenant_money
from slicewise.cost.spend import Spend
from slicewise.cost.work import Tokens, WorkerCounts


def on_cpu(uid: str = "c", price: float | None = 0.36, container: int = 1, said: WorkerCounts | None = None) -> Held:
    """A worker of the CPU fallback that costs 0.0001 a second."""
    return Held(uid, price, container, said, fallback=True)


@pytest.mark.parametrize(
    ("held", "spend"),
    [
        (on_cpu(said=IDLE), Spend(fallback_idle=0.003)),
        (on_cpu(said=counts(busy=12.0)), Spend(fallback=0.0012, fallback_idle=0.0018)),
        (on_cpu(said=None), Spend(fallback_idle=0.003)),
        (on_cpu(container=0), Spend(fallback_idle=0.003)),
        (on_cpu(price=None, said=IDLE), Spend(unpriced_seconds=30.0)),
    ],
    ids=["warm and idle", "busy for a part", "silent", "not ready", "without a price"],
)
def test_money_of_the_fallback_is_kept_apart(held: Held, spend: Spend) -> None:
    assert looked([on_cpu(said=IDLE)], [held]).month.spend == approx(spend)


@pytest.mark.parametrize(
    ("slices", "cpu", "requests", "thousand", "million"),
    [
        (BUSY, IDLE, 5, 0.033 / 5, 0.033 / 140),
        (IDLE, BUSY, 5, 0.033 / 5, 0.033 / 140),
        (BUSY, BUSY, 10, 0.033 / 10, 0.033 / 280),
        (IDLE, IDLE, 0, None, None),
    ],
    ids=["slices alone", "the fallback alone", "both", "none"],
)
def test_what_the_fallback_answers_counts_as_what_slices_answer(
    slices: WorkerCounts, cpu: WorkerCounts, requests: int, thousand: float | None, million: float | None
) -> None:
    month = looked([worker(said=IDLE), on_cpu(said=IDLE)], [worker(said=slices), on_cpu(said=cpu)]).month

    assert (month.work.answered, month.spend.paid_requests) == (requests, requests)
    assert per_thousand_requests(month.spend) == (None if thousand is None else pytest.approx(thousand * 1e3))
    assert per_million_tokens(month.spend) == (None if million is None else pytest.approx(million * 1e6))


def test_requests_of_a_fallback_whose_cores_have_no_price_are_shown_and_no_money_stands_for_them() -> None:
    account = looked([on_cpu(price=None, said=IDLE)], [on_cpu(price=None, said=BUSY)])

    assert (account.rate, account.month.work.answered, account.month.spend.paid_requests) == (None, 5, 0)
    assert per_thousand_requests(account.month.spend) is None


def test_a_tenant_pays_for_the_cores_that_worked_for_it() -> None:
    slices, cpu = counts(1, 30.0, a=Tokens(1, 100, 0, 50)), counts(2, 30.0, b=Tokens(2, 100, 0, 50))
    month = looked([worker(said=IDLE), on_cpu(said=IDLE)], [worker(said=slices), on_cpu(said=cpu)]).month

    assert tenant_money(month) == pytest.approx({"a": 0.03, "b": 0.003})


def test_a_fallback_that_works_keeps_the_pool_awake_and_one_that_is_warm_does_not() -> None:
    quiet = [worker(said=IDLE)]
    assert looked(*[[*quiet, on_cpu(said=IDLE)]] * 5, idle_after=60.0).month.spend.sleepable == pytest.approx(2 * 0.033)
    works = [[*quiet, on_cpu(said=counts(number, 9.0 * number))] for number in range(5)]
    assert looked(*works, idle_after=60.0).month.spend.sleepable == 0.0
