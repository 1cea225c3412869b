"""How long what waits takes, and what is refused because of it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.pace import MOST_RETRY_SECONDS, Asked, Pace, retry_after, too_late
from slicewise_worker.engine.request import Finished, Generation, Sampling, TooLateError
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST, FairQueue

STEPS = 16
"""After so many, a rate is measured."""


def measured(slots: int, seconds: float, chunk: int = 64, answer: int | None = 20) -> Pace:
    pace = Pace(slots)
    for _ in range(STEPS):
        pace.stepped(seconds, chunk, full=True)
    if answer is not None:
        pace.ended(answer)
    return pace


asked = st.builds(Asked, st.integers(0, 10_000), st.integers(1, 10_000))
paces = st.builds(
    measured, st.integers(1, 64), st.floats(1e-4, 1e4), st.integers(1, 512), st.none() | st.integers(0, 10_000)
)


@settings(deadline=None)
@given(paces, st.lists(asked, max_size=20), asked)
def test_more_that_waits_never_takes_less_time(pace: Pace, before: list[Asked], more: Asked) -> None:
    assert pace.wait([]) == 0
    assert pace.wait([*before, more]) >= pace.wait(before) - 1e-9


@settings(deadline=None)
@given(paces, st.lists(asked, max_size=20), st.floats(1e-3, 1e3), st.integers(0, 10_000))
def test_who_is_refused_with_less_before_it_is_refused_with_more_and_told_a_later_time(
    pace: Pace, before: list[Asked], left: float, prompt: int
) -> None:
    reading = pace.reading(prompt)
    some = too_late(pace.wait(before[: len(before) // 2]), reading, left)
    late = too_late(pace.wait([*before]), reading, left)
    if some is not None:
        assert late is not None
        assert late.retry_after >= some.retry_after
    if late is not None:
        assert 1 <= late.retry_after <= MOST_RETRY_SECONDS
        assert late.wait + reading > late.left == left


@settings(deadline=None)
@given(st.floats(0, 1e9))
def test_a_time_to_come_again_is_a_second_or_more_and_bounded(seconds: float) -> None:
    assert retry_after(seconds) == max(1, min(MOST_RETRY_SECONDS, ceil(seconds)))


@settings(deadline=None)
@given(paces, st.floats(-10, 1e6), st.integers(0, 1_000_000))
def test_nothing_is_refused_where_nothing_is_before_it(pace: Pace, left: float, prompt: int) -> None:
    assert too_late(pace.wait([]), pace.reading(prompt), left) is None


@settings(deadline=None)
@given(st.lists(asked, max_size=20), st.floats(1e-4, 1e4), st.integers(0, STEPS - 1))
def test_nothing_is_refused_before_it_is_measured(before: list[Asked], seconds: float, steps: int) -> None:
    pace = Pace(2)
    pace.ended(100)
    for _ in range(steps):
        pace.stepped(seconds, 64, full=True)
    assert pace.wait(before) == pace.reading(1000) == 0


def test_the_wait_is_what_prompts_take_in_full_chunks_or_slots_whichever_is_more() -> None:
    # 128 tokens of prompts a second, 2 steps a second, answers of 20 tokens: 10 s each in one of four slots.
    pace = measured(4, 0.5)
    assert isclose(pace.wait([Asked(0, 100)] * 8), 8 * 10 / 4)
    assert isclose(pace.wait([Asked(0, 4)] * 8), 8 * 2 / 4)
    assert isclose(pace.wait([Asked(1280, 1)] * 4), 4 * 10)
    assert isclose(measured(1, 0.5).wait([Asked(128, 100)] * 3), 3 * (1 + 10))


def test_a_rate_follows_what_is_measured_and_steps_without_full_chunks_say_nothing_about_prompts() -> None:
    pace = measured(1, 10.0)
    for _ in range(200):
        pace.stepped(1.0, 1, full=False)
    assert isclose(pace.reading(64), 10.0)
    assert isclose(pace.wait([Asked(0, 100)]), 20, rel_tol=0.05)


@dataclass(frozen=True, eq=False)
class Waiting:
    tenant: Tenant
    cost: int


names = st.sampled_from(["a", "b", "c", None])


@settings(deadline=None)
@given(
    st.lists(st.tuples(names, st.integers(1, 50)), max_size=12),
    st.lists(st.tuples(names, st.integers(0, 200)), max_size=6),
    names,
    st.tuples(names, st.integers(1, 50)),
)
def test_what_is_before_a_request_is_what_begins_before_it(
    waiting: list[tuple[Tenant, int]],
    charged: list[tuple[Tenant, int]],
    tenant: Tenant,
    more: tuple[Tenant, int],
) -> None:
    queue: FairQueue[Waiting] = FairQueue()
    for name, cost in waiting:
        queue.push(Waiting(name, cost))
    for name, cost in charged:
        queue.charge(name, cost)
    fewer = set(queue.before(tenant, lambda entry: entry.cost))
    queue.push(Waiting(*more))
    first = set(queue.before(tenant, lambda entry: entry.cost))
    assert fewer <= first, "more that waits leaves none out"
    new = Waiting(tenant, 1)
    queue.push(new)
    begun: set[Waiting] = set()
    while (entry := queue.pop()) is not new:
        begun.add(entry)
        queue.charge(entry.tenant, entry.cost)
    assert first <= begun, "it may be behind one more of each other tenant that was given the same"
    assert len(begun) - len(first) <= 3


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(1, 20)), min_size=1, max_size=4),
    st.integers(0, 400),
    st.floats(1e-3, 10),
)
def test_no_wrong_estimate_keeps_a_tenant_out(others: list[tuple[int, int]], given_before: int, left: float) -> None:
    """Others always have ten waiting. One tenant asks again at each step, and a step is believed to take eleven days."""
    pace = measured(1, 1e6, chunk=1, answer=1_000_000)
    queue: FairQueue[Waiting] = FairQueue()

    def work(entry: Waiting) -> Asked:
        return Asked(entry.cost, 1)

    def cost(entry: Waiting) -> float:
        return float(entry.cost)

    kinds = {
        f"other-{index}": PROMPT_COST * prompt + ANSWER_COST * answer for index, (prompt, answer) in enumerate(others)
    }
    queue.push(Waiting("kept out", given_before))
    for name, each in kinds.items():
        queue.push(Waiting(name, each))
    queue.charge("kept out", given_before)
    queue.keep(lambda entry: entry.tenant != "kept out")
    most = sum(given_before // each + 2 for each in kinds.values())
    for _ in range(most + 1):
        for name, each in kinds.items():
            while sum(entry.tenant == name for entry in queue) < 10:
                queue.push(Waiting(name, each))
        if too_late(pace.wait(map(work, queue.before("kept out", cost))), pace.reading(1), left) is None:
            return
        served = queue.pop()
        queue.charge(served.tenant, served.cost)
    raise AssertionError(f"refused {most + 1} times")


GREEDY = Sampling(temperature=0)


def test_a_request_that_cannot_begin_in_its_time_is_refused_at_once_and_an_idle_engine_refuses_none(
    tiny_slow, bench
) -> None:
    engine = bench(tiny_slow, sequences=1, context_tokens=16384)
    answer = Generation([5, 6, 7], 20, GREEDY)
    for collector in engine.submit_together([answer] * 3):
        assert isinstance(collector.end(), Finished)
    engine.settle(lambda: not engine.engine.progress().busy)
    tickets = [engine.submit(Generation([5, 6, 7], 16_000, GREEDY), seconds=600)[1]]
    engine.settle(lambda: engine.engine.progress().running == 1)
    tickets += [engine.submit(answer)[1] for _ in range(3)]
    # Each of those that wait takes 20 steps of 50 ms.
    with pytest.raises(
        TooLateError, match=r"\d s left, and by the measured rate the 3 requests before it take"
    ) as late:
        engine.submit(answer, seconds=0.3)
    assert 2 <= late.value.retry_after <= 60
    tickets.append(engine.submit(answer)[1])
    # Of a tenant that was given less, nothing is before it.
    tickets.append(engine.submit(answer, seconds=0.3, tenant="other")[1])
    engine.engine.cancel(tickets)
    engine.settle(lambda: not engine.engine.progress().busy)
    engine.submit(answer, seconds=0.01)
