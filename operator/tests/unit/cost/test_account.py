"""The account of a pool: money by use, work by tenant, and what mishaps do to both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import patient_properties  # noqa: F401  # imported for what it does
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.cost.account import LONGEST_GAP, Account, Held, Holding
from slicewise.cost.figures import per_million_tokens, per_thousand_requests, tenant_money, tenant_shares
from slicewise.cost.spend import Spend, Sums
from slicewise.cost.work import MOST_TENANTS, OTHER, Tokens, Work, WorkerCounts

START = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
HOUR = 3600.0
STEP = 30.0


def counts(answered: float = 0, busy: float = 0, **tenants: Tokens) -> WorkerCounts:
    return WorkerCounts(answered, busy, tenants)


def worker(uid: str = "a", price: float | None = 3.6, container: int = 1, said: WorkerCounts | None = None) -> Held:
    """A worker that costs 0.001 a second."""
    return Held(uid, price, container, said)


def looked(*looks: Sequence[Held], step: float = STEP, account: Account | None = None, **holding: float) -> Account:
    account = account or Account()
    for number, held in enumerate(looks):
        account.look(Holding(held, **holding), 1000.0 + number * step, START + number * step)
    return account


IDLE, BUSY = counts(), counts(5, 12.0, team=Tokens(5, 100, 20, 60))


@pytest.mark.parametrize(
    ("held", "spend"),
    [
        (worker(said=IDLE), Spend(idle=0.03)),
        (worker(said=counts(busy=12.0)), Spend(busy=0.012, idle=0.018)),
        (worker(said=counts(busy=99.0)), Spend(busy=0.03)),
        (worker(said=None), Spend(unread=0.03)),
        (worker(container=0), Spend(starting=0.03)),
        (worker(price=None, said=IDLE), Spend(unpriced_seconds=30.0)),
        (worker(price=0.0, said=IDLE), Spend()),
    ],
    ids=["idle", "busy for a part", "never more than the time", "silent", "not ready", "without a price", "free"],
)
def test_money_goes_by_what_the_worker_did(held: Held, spend: Spend) -> None:
    assert looked([worker(said=IDLE)], [held]).month.spend == approx(spend)


def approx(spend: Spend) -> Spend:
    return Spend(*(pytest.approx(value) for value in values(spend)))


def values(spend: Spend) -> list[float]:
    return [getattr(spend, name) for name in Spend.__slots__]


def test_the_first_look_charges_nothing_and_counts_what_is_new_from_then_on() -> None:
    account = looked([worker(said=BUSY)])
    assert account.month == Sums()

    account = looked([worker(said=BUSY)], [worker(said=counts(7, 13.0, team=Tokens(7, 150, 20, 90)))])
    assert account.month.work.answered == 2
    assert account.month.work.tokens.generated == 30


def test_a_worker_that_came_after_the_first_look_counts_from_nothing() -> None:
    account = looked([], [worker(container=0)], [worker(said=BUSY)])

    assert account.month.work.answered == 5
    assert account.month.spend.busy == pytest.approx(0.012)


def test_one_that_was_there_and_did_not_answer_counts_from_its_first_answer() -> None:
    account = looked([worker(said=None)], [worker(said=BUSY)], [worker(said=BUSY)])

    assert account.month.work.answered == 0
    assert account.month.spend.unread == pytest.approx(0.03)


def test_what_was_done_while_a_worker_did_not_answer_is_not_lost() -> None:
    later = counts(9, 30.0, team=Tokens(9, 100, 20, 99))

    account = looked([worker(said=BUSY)], [worker(said=None)], [worker(said=later)])

    assert account.month.work.answered == 4
    assert account.month.spend.busy == pytest.approx(0.03 * 18 / 60)


def test_a_restart_of_a_worker_takes_nothing_back_and_counts_what_it_did_since() -> None:
    after = counts(2, 1.0, team=Tokens(2, 10, 0, 4))

    account = looked([worker(said=IDLE)], [worker(said=BUSY)], [worker(container=2, said=after)])
    assert account.month.work.answered == 7
    assert account.month.work.tokens.generated == 64

    gone_back = looked([worker(said=IDLE)], [worker(said=BUSY)], [worker(said=after)])
    assert gone_back.month.work == account.month.work


def test_a_restart_that_has_done_more_than_before_counts_all_of_it() -> None:
    more = counts(50, 20.0, team=Tokens(50, 500, 0, 500))

    account = looked([worker(said=IDLE)], [worker(said=BUSY)], [worker(container=2, said=more)])

    assert account.month.work.answered == 55


def test_the_rate_is_unknown_with_one_price_missing_and_what_is_known_is_charged() -> None:
    account = looked([], [worker("a", said=IDLE), worker("b", price=None, said=IDLE)])

    assert account.rate is None
    assert account.month.spend == approx(Spend(idle=0.03, unpriced_seconds=30.0))


def test_work_of_a_worker_without_a_price_is_no_work_that_money_stands_for() -> None:
    twice = (
        [worker("a", said=IDLE), worker("b", price=None, said=IDLE)],
        [
            worker("a", said=BUSY),
            worker("b", price=None, said=BUSY),
        ],
    )
    month = looked(*twice).month

    assert (month.work.answered, month.spend.paid_requests) == (10, 5)
    assert per_thousand_requests(month.spend) == pytest.approx(0.03 / 5 * 1000)
    assert per_million_tokens(month.spend) == pytest.approx(0.03 / 140 * 1e6)


def test_nothing_is_said_of_a_request_before_there_was_one() -> None:
    assert per_thousand_requests(looked([worker(said=IDLE)], [worker(said=IDLE)]).month.spend) is None
    assert per_million_tokens(Spend()) is None


def test_what_scaling_to_zero_would_save_begins_after_the_pools_time_without_work() -> None:
    quiet = [[worker(said=IDLE)]] * 5
    assert looked(*quiet, idle_after=60.0).month.spend.sleepable == pytest.approx(2 * 0.03)

    busy_in_between = [*quiet, [worker(said=BUSY)], *([[worker(said=BUSY)]] * 2)]
    assert looked(*busy_in_between, idle_after=60.0).month.spend.sleepable == pytest.approx(2 * 0.03)
    silent = [[worker(said=None)]] * 5
    assert looked(*silent, idle_after=60.0).month.spend.sleepable == 0.0


@pytest.mark.parametrize(
    ("seconds", "assumed", "uncounted"), [(299.0, 0.0, 0.0), (900.0, 0.9, 0.0), (3 * HOUR, 3.6, 2 * HOUR)]
)
def test_a_process_that_stood_still_is_charged_at_the_rate_before_for_an_hour_at_most(
    seconds: float, assumed: float, uncounted: float
) -> None:
    account = looked([worker(said=IDLE)], [worker(said=IDLE)])
    account.look(Holding([worker(said=IDLE)]), 1000.0 + STEP + seconds, START + STEP + seconds)

    assert account.month.spend.assumed == pytest.approx(assumed)
    assert account.month.spend.uncounted_seconds == pytest.approx(uncounted)


def test_a_monotonic_clock_that_does_not_move_charges_nothing() -> None:
    account = looked([worker(said=IDLE)], [worker(said=IDLE)])
    account.look(Holding([worker(said=IDLE)]), 900.0, START)

    assert account.month.spend.total == pytest.approx(0.03)


class TestMonths:
    def test_a_month_begins_with_nothing_and_the_sums_of_the_process_go_on(self) -> None:
        account = Account()
        for number, wall in enumerate((DECEMBER - 60, DECEMBER - 30, DECEMBER)):
            account.look(Holding([worker(said=IDLE)]), number * STEP, wall)

        assert (account.month.spend.total, account.since) == (pytest.approx(0.03), DECEMBER)
        assert account.total.spend.total == pytest.approx(0.06)

    def test_a_clock_that_is_set_back_into_the_month_before_ends_no_month(self) -> None:
        account = Account()
        for number, wall in enumerate((DECEMBER, DECEMBER + 30, START, START + 30)):
            account.look(Holding([worker(said=IDLE)]), number * STEP, wall)

        assert (account.month.spend.total, account.since) == (pytest.approx(0.09), DECEMBER)

    def test_a_clock_that_leaps_within_the_month_charges_no_more_than_passed(self) -> None:
        account = looked([worker(said=IDLE)])
        account.look(Holding([worker(said=IDLE)]), 1000.0 + STEP, START + 5 * 24 * HOUR)

        assert account.month.spend.total == pytest.approx(0.03)


class TestRestartsOfTheOperator:
    STORED = Sums(Spend(idle=5.0), Work(10, {"team": Tokens(10, 5, 0, 5)}))

    @pytest.mark.parametrize(
        ("after", "assumed", "uncounted"), [(-HOUR, 0.0, 0.0), (60.0, 0.06, 0.0), (2 * LONGEST_GAP, 3.6, LONGEST_GAP)]
    )
    def test_the_next_goes_on_from_what_is_stored_and_assumes_the_rate_between(
        self, after: float, assumed: float, uncounted: float
    ) -> None:
        account = Account()
        account.resume(self.STORED, START - 24 * HOUR, 3.6, START, START + after)

        assert account.month.spend == approx(Spend(idle=5.0, assumed=assumed, uncounted_seconds=uncounted))
        assert account.month.work == self.STORED.work
        assert account.total.spend == approx(Spend(assumed=assumed, uncounted_seconds=uncounted))

    def test_a_rate_that_was_not_known_is_not_assumed(self) -> None:
        account = Account()
        account.resume(self.STORED, START, None, START, START + 60)

        assert account.month.spend == approx(Spend(idle=5.0, uncounted_seconds=60.0))

    def test_sums_of_an_earlier_month_are_of_no_use_and_the_gap_counts_from_the_first(self) -> None:
        account = Account()
        account.resume(self.STORED, START, 3.6, DECEMBER - 600, DECEMBER + 60)
        account.look(Holding([]), 0.0, DECEMBER + 60)

        assert account.month.spend == approx(Spend(assumed=0.06))
        assert account.since == DECEMBER

    def test_workers_that_were_there_are_not_counted_twice(self) -> None:
        account = Account()
        account.resume(self.STORED, START, 3.6, START, START + 60)
        looked([worker(said=BUSY)], [worker(said=BUSY)], account=account)

        assert account.month.work == self.STORED.work


def test_the_tenants_parts_add_up_to_what_the_workers_cost() -> None:
    said = counts(9, 12.0, a=Tokens(1, 300, 100, 100), b=Tokens(1, 100, 0, 50))
    month = looked([worker(said=IDLE)], [worker(said=said)]).month

    assert tenant_shares(month.work) == pytest.approx({"a": 400 / 600, "b": 200 / 600})
    assert month.work.tenants["a"].spend == pytest.approx(0.012 * 400 / 600)
    assert tenant_money(month) == pytest.approx({"a": 0.03 * 400 / 600, "b": 0.03 * 200 / 600})
    assert tenant_money(Sums(Spend(idle=1.0))) == {}


def test_a_pool_with_any_number_of_tenants_keeps_fifty_and_the_rest_as_one() -> None:
    said = counts(**{f"t{number}": Tokens(1, 1, 0, 1) for number in range(MOST_TENANTS + 20)})
    work = looked([worker(said=IDLE)], [worker(said=said)]).month.work

    assert len(work.tenants) == MOST_TENANTS + 1
    assert work.tenants[OTHER].requests == 20
    assert work.tokens.requests == MOST_TENANTS + 20


def sums_of(account: Account) -> list[float]:
    work, total = account.total.work, account.total
    return [*values(total.spend), work.answered, *(getattr(work.tokens, name) for name in Tokens.__slots__)]


NUMBERS = st.floats(0, 1e6, allow_nan=False)
SAID = st.none() | st.builds(
    WorkerCounts,
    NUMBERS,
    NUMBERS,
    st.dictionaries(st.sampled_from("abc"), st.builds(Tokens, NUMBERS, NUMBERS, NUMBERS, NUMBERS), max_size=3),
)
WORKERS = st.builds(
    Held, st.sampled_from("wxyz"), st.none() | st.floats(0, 100), st.integers(0, 2), SAID, st.booleans()
)
LOOKS = st.lists(
    st.tuples(
        st.lists(WORKERS, max_size=4, unique_by=lambda held: held.uid),
        st.floats(-100, 1e4),
        st.floats(-1e7, 1e7),
    ),
    max_size=8,
)


@given(LOOKS)
def test_whatever_clocks_counters_and_prices_do_no_sum_goes_back_and_all_time_is_accounted_for(
    looks: list[tuple[list[Held], float, float]],
) -> None:
    account, now, before = Account(), 0.0, sums_of(Account())
    for held, step, leap in looks:
        now += step
        account.look(Holding(held), now, START + leap)
        after = sums_of(account)
        assert all(new >= old for new, old in zip(after, before, strict=True))
        before = after
    assert sum(tenant_money(account.total).values()) == pytest.approx(
        account.total.spend.metered if account.total.work.tokens.units else 0.0
    )
