"""Batch requests: behind all others, and never without an end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import pytest
from held import held_at
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.callers import BATCH_SHARE, LEAST_KEPT, Batch, Tenant, is_batch, owner_of
from slicewise_worker.engine.request import Broken, Finished, Generation, QueueFullError, Sampling
from slicewise_worker.engine.schedule import Place, Waiting, deal_by_class, plan_step, who_pauses
from slicewise_worker.engine.tenants import FairQueue

GREEDY = Sampling(temperature=0)
tenants: st.SearchStrategy[Tenant] = st.sampled_from(["a", "b", None, Batch("a"), Batch("c"), Batch(None)])


@dataclass(frozen=True, eq=False)
class Asked:
    tenant: Tenant
    number: int = 0


@settings(deadline=None)
@given(st.lists(tenants, max_size=60), st.lists(st.booleans(), max_size=120), st.booleans())
def test_others_are_first_and_one_of_so_many_is_batch(first: list[Tenant], pushes: list[bool], free: bool) -> None:
    queue: FairQueue[Asked] = FairQueue()
    for number, tenant in enumerate(first):
        queue.push(Asked(tenant, number))
    waited: Counter[bool] = Counter()
    order: dict[Tenant, list[int]] = {}
    for number, push in enumerate(pushes, len(first)):
        if push:
            queue.push(Asked("a" if number % 2 else Batch("a"), number))
        if not queue:
            continue
        kinds = {is_batch(asked.tenant) for asked in queue}
        tenant = queue.next_tenant(batch=free)
        asked = queue.pop_of(tenant)
        order.setdefault(tenant, []).append(asked.number)
        if kinds == {True, False}:
            behind = is_batch(tenant)
            assert not behind or (free and waited[True] == BATCH_SHARE - 1), "before another one only in its turn"
            waited[True] = 0 if behind else waited[True] + 1
            assert not free or waited[True] < BATCH_SHARE, "no more than that begin before one of batch"
        elif is_batch(tenant):
            waited[True] = 0
    assert all(numbers == sorted(numbers) for numbers in order.values()), "those of one tenant stay in their order"


@settings(deadline=None)
@given(st.lists(tenants, max_size=30), tenants)
def test_batch_is_never_before_a_request_that_is_not(waiting: list[Tenant], tenant: Tenant) -> None:
    queue: FairQueue[Asked] = FairQueue()
    for one in waiting:
        queue.push(Asked(one))
    before = Counter(is_batch(asked.tenant) for asked in queue.before(tenant, lambda _: 1))
    if is_batch(tenant):
        assert before[False] == sum(not is_batch(one) for one in waiting)
    else:
        assert not before[True]


def test_a_tenants_batch_does_not_count_against_its_questions() -> None:
    queue: FairQueue[Asked] = FairQueue()
    for tenant in (Batch("a"), "b", "a"):
        queue.push(Asked(tenant))
    queue.charge(Batch("a"), 10_000)
    queue.charge("b", 1)
    assert queue.pop().tenant == "a"
    assert owner_of(queue.pop().tenant) == "b"


@settings(deadline=None)
@given(
    st.integers(0, 8),
    st.lists(st.tuples(tenants, st.integers(1, 300)), max_size=9),
    st.integers(1, 128),
)
def test_a_step_is_bounded_and_questions_get_all_of_it_but_an_eighth(
    decoding: int, prompts: list[tuple[Tenant, int]], chunk: int
) -> None:
    waiting = [Waiting(100 + index, left, tenant) for index, (tenant, left) in enumerate(prompts)]
    counts = {work.slot: work.count for work in plan_step(range(decoding), waiting, chunk)}
    assert all(counts[slot] == 1 for slot in range(decoding)), "no answer waits for a prompt"
    wants: Counter[bool] = Counter()
    got: Counter[bool] = Counter()
    for one in waiting:
        wants[is_batch(one.tenant)] += one.left
        got[is_batch(one.tenant)] += counts.get(one.slot, 0)
    assert got.total() == min(chunk, wants.total()), "no token of the chunk is left while a prompt wants one"
    kept = max(1, chunk // BATCH_SHARE) if chunk > 1 else 0
    assert got[False] >= min(wants[False], chunk - kept)
    assert got[True] >= min(wants[True], kept)


places = st.lists(st.tuples(tenants, st.integers(0, 99), st.booleans()), max_size=12)


@settings(deadline=None)
@given(places, tenants)
def test_a_question_takes_a_slot_of_batch_first_and_batch_takes_none_of_others(
    held: list[tuple[Tenant, int, bool]], tenant: Tenant
) -> None:
    running = [Place(slot, *one) for slot, one in enumerate(held)]
    place = who_pauses(running, tenant)
    open_ = [one for one in running if is_batch(one.tenant) and not one.spared]
    if is_batch(tenant):
        assert place is None or is_batch(place.tenant)
    elif open_:
        assert place in open_
        assert place.tokens == min(one.tokens for one in open_)
    else:
        assert place is None or not is_batch(place.tenant), "what keeps its slot is left alone"


@settings(deadline=None)
@given(st.lists(st.tuples(tenants, st.integers(0, 9)), max_size=20), tenants, st.integers(1, 9), st.integers(1, 30))
def test_batch_makes_room_first_and_takes_none_of_others(
    waiting: list[tuple[Tenant, int]], tenant: Tenant, more: int, needed: int
) -> None:
    queue: FairQueue[Asked] = FairQueue()
    for one, size in waiting:
        queue.push(Asked(one, size))
    going = queue.to_remove(tenant, more, needed, lambda asked: asked.number)
    behind = sum(size for one, size in waiting if is_batch(one))
    assert not going or sum(asked.number for asked in going) >= needed
    if is_batch(tenant):
        assert all(is_batch(asked.tenant) for asked in going)
    elif behind >= needed:
        assert going
        assert all(is_batch(asked.tenant) for asked in going)
    elif going:
        assert sum(asked.number for asked in going if is_batch(asked.tenant)) == behind


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.booleans(), st.lists(st.integers(1, 32), max_size=6)), max_size=6),
    st.integers(32, 64),
    st.integers(1, 8),
    st.booleans(),
)
def test_texts_of_batch_take_what_others_leave_and_have_their_turn(
    asked: list[tuple[bool, list[int]]], tokens: int, most: int, batch_first: bool
) -> None:
    batch, left = [one for one, _ in asked], [sizes for _, sizes in asked]
    taken = deal_by_class(left, batch, tokens, most, batch_first=batch_first)
    assert sum(taken) <= most
    assert sum(sum(sizes[:count]) for count, sizes in zip(taken, left, strict=True)) <= tokens
    first = [index for index, behind in enumerate(batch) if behind == batch_first]
    alone = deal_by_class([left[index] for index in first], [False] * len(first), tokens, most, batch_first=False)
    assert [taken[index] for index in first] == alone, "as if there were no others"


def answer(tokens: int, prompt: int = 3) -> Generation:
    return Generation([5] * prompt, tokens, GREEDY)


def test_a_question_takes_the_only_slot_of_batch_which_goes_on_to_its_end(tiny, bench) -> None:
    context, gate = held_at(40)
    engine = bench(tiny, sequences=1, context_type=context, context_tokens=16384)
    batch, _ = engine.submit(answer(2000), batch=True)
    assert batch.started.wait(60)
    question, _ = engine.submit(answer(3))
    gate.set()
    assert isinstance(question.end(), Finished)
    end = batch.end()
    assert isinstance(end, Finished)
    assert end.generated == 2000
    assert question.ended_at < batch.ended_at


def test_a_batch_request_moves_on_while_questions_never_stop(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, max_queue=200, context_tokens=16384)
    holder, ticket = engine.submit(answer(10_000))
    assert holder.started.wait(60)
    batch, _ = engine.submit(answer(2 * LEAST_KEPT), batch=True)
    questions = [engine.submit(answer(2), tenant=f"t{number}")[0] for number in range(4 * BATCH_SHARE)]
    engine.engine.cancel([ticket])
    for question in questions:
        assert isinstance(question.end(), Finished)
    assert isinstance(batch.end(), Finished)
    before = sum(question.ended_at < batch.ended_at for question in questions)
    # Twice it waits for all but one of so many, once to begin and once to go on; one more may be begun in the step of its end.
    assert 2 * (BATCH_SHARE - 1) <= before <= 2 * BATCH_SHARE


def test_batch_makes_room_in_a_full_queue(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, max_queue=2, context_tokens=16384)
    holder, _ = engine.submit(answer(10_000))
    assert holder.started.wait(60)
    batch = [engine.submit(answer(3), batch=True)[0] for _ in range(2)]
    with pytest.raises(QueueFullError):
        engine.submit(answer(3), batch=True, tenant=None)
    engine.submit(answer(3))
    end = batch[1].end()
    assert isinstance(end, Broken)
    assert end.code == "queue_full"
