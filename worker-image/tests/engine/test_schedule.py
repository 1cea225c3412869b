"""What goes into a step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.recent import Recent
from slicewise_worker.engine.schedule import Place, Waiting, Work, deal_inputs, plan_step, who_pauses


def test_every_decoding_sequence_gets_one_token_and_prompts_share_the_chunk() -> None:
    work = plan_step([0, 3], [Waiting(1, 100)], chunk=64)
    assert work == [Work(0, 1, last=True), Work(3, 1, last=True), Work(1, 64, last=False)]


def test_the_end_of_a_prompt_is_sampled_after() -> None:
    assert plan_step([], [Waiting(2, 10)], chunk=64) == [Work(2, 10, last=True)]


def test_a_short_question_does_not_wait_for_a_long_one() -> None:
    work = plan_step([], [Waiting(0, 28_000), Waiting(1, 20)], chunk=64)
    assert work == [Work(0, 44, last=False), Work(1, 20, last=True)]


def test_the_oldest_prompt_always_moves_on_by_half_the_chunk() -> None:
    waiting = [Waiting(0, 1000), *(Waiting(slot, 30) for slot in range(1, 9))]
    assert plan_step([], waiting, chunk=64)[0] == Work(0, 32, last=False)


def test_a_chunk_of_one_token_goes_to_the_oldest() -> None:
    assert plan_step([], [Waiting(0, 9), Waiting(1, 2)], chunk=1) == [Work(0, 1, last=False)]


def test_a_chunk_that_is_spread_has_one_token_of_each_of_the_oldest_prompts() -> None:
    waiting = [Waiting(slot, 30) for slot in range(4)]
    assert plan_step([9], waiting, chunk=3, spread=True) == [
        Work(9, 1, last=True),
        *(Work(slot, 1, last=False) for slot in range(3)),
    ]


def test_a_tenant_whose_part_is_larger_than_its_prompts_are_many_reads_them_one_after_the_other() -> None:
    little = Waiting(5, 30, "little")
    work = plan_step([], [*(Waiting(slot, 30, "much") for slot in range(5)), little], chunk=10, spread=True)
    assert work == [*(Work(slot, 1, last=False) for slot in range(5)), Work(5, 5, last=False)]


@settings(deadline=None)
@given(
    st.integers(0, 8),
    st.lists(st.tuples(st.integers(1, 300), st.sampled_from(["one", "two"])), max_size=8),
    st.integers(1, 128),
    st.booleans(),
)
def test_a_step_is_bounded_and_wastes_nothing(decoding: int, asked: list[tuple[int, str]], chunk: int, spread) -> None:
    prompts = [left for left, _ in asked]
    waiting = [Waiting(100 + index, left, tenant) for index, (left, tenant) in enumerate(asked)]
    work = plan_step(range(decoding), waiting, chunk, spread=spread)
    counts = {item.slot: item.count for item in work}
    assert all(counts[slot] == 1 for slot in range(decoding))
    given_to_prompts = sum(count for slot, count in counts.items() if slot >= 100)
    assert given_to_prompts == min(chunk, sum(prompts))
    for prompt in waiting:
        assert counts.get(prompt.slot, 0) <= prompt.left
    assert all(item.last == (item.slot < 100 or item.count == prompts[item.slot - 100]) for item in work)
    assert all(item.count > 0 for item in work)


def test_requests_get_one_input_in_turn() -> None:
    assert deal_inputs([[1] * 50, [1], [1] * 2], tokens=100, most=7) == [4, 1, 2]


def test_an_input_goes_into_a_step_whole_and_in_its_order_or_not_at_all() -> None:
    assert deal_inputs([[6, 5, 1], [4]], tokens=10, most=16) == [1, 1], "5 tokens have no room, and 1 comes after them"


def test_no_more_inputs_go_into_a_step_than_it_has_sequences_for() -> None:
    assert deal_inputs([[1], [1], [1]], tokens=100, most=2) == [1, 1, 0]


def test_where_nobody_has_inputs_left_nothing_is_dealt() -> None:
    assert deal_inputs([], tokens=8, most=4) == []
    assert deal_inputs([[], []], tokens=8, most=4) == [0, 0]


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(1, 32), max_size=6), max_size=6), st.integers(32, 64), st.integers(1, 8))
def test_a_step_of_inputs_is_bounded_and_moves_on(left: list[list[int]], tokens: int, most: int) -> None:
    taken = deal_inputs(left, tokens, most)
    assert all(0 <= count <= len(sizes) for count, sizes in zip(taken, left, strict=True))
    assert sum(taken) <= most
    assert sum(sum(sizes[:count]) for count, sizes in zip(taken, left, strict=True)) <= tokens
    if left and left[0]:
        assert taken[0], "the first input of the first request always fits"


def test_each_tenant_gets_the_same_part_of_a_chunk() -> None:
    waiting = [*(Waiting(slot, 1000, "heavy") for slot in range(5)), Waiting(5, 100, "light"), Waiting(6, 8, None)]
    work = plan_step([], waiting, chunk=64)
    assert [(item.slot, item.count) for item in work] == [(0, 28), (5, 28), (6, 8)]


weights = st.fixed_dictionaries({name: st.integers(1, 100) for name in "abcde"})


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 90)), min_size=1, max_size=9),
    st.integers(1, 64),
    st.just(dict.fromkeys("abcde", 1)) | weights,
)
def test_no_tenant_gets_more_of_a_chunk_for_its_weight_than_another_that_wants_more(
    prompts: list[tuple[str, int]], chunk: int, weight: dict[str, int]
) -> None:
    waiting = [Waiting(index, left, tenant) for index, (tenant, left) in enumerate(prompts)]
    got = dict.fromkeys("abc", 0)
    for item in plan_step([], waiting, chunk, weight.__getitem__):
        got[prompts[item.slot][0]] += item.count
    wanted = {tenant: sum(left for name, left in prompts if name == tenant) for tenant in "abc"}
    assert sum(got.values()) == min(chunk, sum(wanted.values()))
    unmet = [tenant for tenant in "abc" if got[tenant] < wanted[tenant]]
    # Parts are whole tokens: what is rounded up for some of three is at most two tokens less for the last.
    for one in "abc":
        for other in unmet:
            assert got[one] - 1 <= (got[other] + 2) * weight[one] / weight[other]
            assert weight[one] != weight[other] or got[one] <= got[other] + 1


def test_who_was_given_little_lately_is_read_first_until_it_has_as_much() -> None:
    waiting = [Waiting(0, 1000, "heavy"), Waiting(1, 200, "light")]
    shares = [{"heavy": 500.0, "light": had}.__getitem__ for had in (0.0, 436.0, 450.0, 500.0)]
    work = [plan_step([], waiting, 64, given=given) for given in shares]
    assert [[(item.slot, item.count) for item in step] for step in work] == [
        [(1, 64)],
        [(1, 64)],
        [(0, 7), (1, 57)],
        [(0, 32), (1, 32)],
    ]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 90)), min_size=1, max_size=9),
    st.integers(1, 64),
    weights,
    st.fixed_dictionaries({name: st.floats(0, 1000) for name in "abc"}),
)
def test_parts_of_a_chunk_raise_those_who_had_least(
    prompts: list[tuple[str, int]], chunk: int, weight: dict[str, int], had: dict[str, float]
) -> None:
    waiting = [Waiting(index, left, tenant) for index, (tenant, left) in enumerate(prompts)]
    got = dict.fromkeys("abc", 0)
    for item in plan_step([], waiting, chunk, weight.__getitem__, had.__getitem__):
        got[prompts[item.slot][0]] += item.count
    wanted = {tenant: sum(left for name, left in prompts if name == tenant) for tenant in "abc"}
    assert sum(got.values()) == min(chunk, sum(wanted.values())), "no token is left while a prompt wants one"
    for one in "abc":
        for other in "abc":
            if got[one] > 1 and got[other] < wanted[other]:
                # Whole tokens: one of them has at most one more than its part, the other at most two less.
                above = had[one] + (got[one] - 1) / weight[one]
                assert above <= had[other] + (got[other] + 2) / weight[other] + 1e-6


def test_what_was_given_is_forgotten_and_takes_no_room() -> None:
    recent = Recent()
    for number in range(20_000):
        recent.stepped()
        recent.note(f"tenant-{number}", 64)
    assert recent.given("tenant-19999") == pytest.approx(64)
    assert recent.given("tenant-19949") == pytest.approx(64 * 0.98**50)
    assert recent.given("tenant-0") < 1e-6
    assert len(recent._given) < 8_000
    for _ in range(10_000):
        recent.stepped()
    assert not recent._given


def test_a_tenant_of_four_times_the_weight_gets_four_times_the_chunk() -> None:
    waiting = [Waiting(0, 1000, "one"), Waiting(1, 1000, "four"), Waiting(2, 9, "little")]
    work = plan_step([], waiting, 64, {"one": 1, "four": 4, "little": 1}.__getitem__)
    assert [(item.slot, item.count) for item in work] == [(0, 11), (1, 44), (2, 9)]


def test_the_tenant_that_has_most_slots_gives_the_one_that_costs_least() -> None:
    places = [Place(0, "heavy", 300), Place(1, "heavy", 20), Place(2, "light", 5), Place(3, "heavy", 20)]
    assert who_pauses(places, "light") == Place(3, "heavy", 20), "the newest of two that cost the same"
    assert who_pauses(places, None) == Place(3, "heavy", 20)
    assert who_pauses(places, "heavy") is None


def test_the_only_slot_is_not_taken_and_equal_parts_stay_as_they_are() -> None:
    assert who_pauses([Place(0, "heavy", 3)], "light") is None
    assert who_pauses([Place(0, "a", 3), Place(1, "b", 3), Place(2, "a", 3)], "b") is None
    assert who_pauses([], "a") is None


@settings(deadline=None)
@given(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=16),
    st.sampled_from("abcde"),
    st.just(dict.fromkeys("abcde", 1)) | weights,
)
def test_slots_that_are_taken_end_in_parts_by_weight_and_never_go_back(
    owners: list[str], tenant: str, weight: dict[str, int]
) -> None:
    held = list(owners)

    def take(tenant: str) -> Place | None:
        places = [Place(slot, owner, slot) for slot, owner in enumerate(held)]
        return who_pauses(places, tenant, weight.__getitem__)

    while (place := take(tenant)) is not None:
        loser = held[place.slot]
        held[place.slot] = tenant
        assert held.count(loser) * weight[tenant] >= held.count(tenant) * weight[loser], "it could not take it back"
    for other in held:
        assert (held.count(other) - 1) * weight[tenant] < (held.count(tenant) + 1) * weight[other] or other == tenant


def test_a_heavy_tenant_takes_more_slots() -> None:
    places = [Place(slot, "one", 9) for slot in range(5)]
    weight = {"one": 1, "four": 4}.__getitem__
    assert who_pauses([*places[:4], Place(4, "four", 9)], "four", weight) == Place(3, "one", 9)
    assert who_pauses([*places[:2], *(Place(slot, "four", 9) for slot in (2, 3, 4))], "four", weight) == Place(
        1, "one", 9
    )
    assert who_pauses([places[0], *(Place(slot, "four", 9) for slot in (1, 2, 3, 4))], "four", weight) is None
