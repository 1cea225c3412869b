"""What goes into a step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.engine.schedule import Waiting, Work, plan_step


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


@given(
    st.integers(0, 8),
    st.lists(st.integers(1, 300), max_size=8),
    st.integers(1, 128),
)
def test_a_step_is_bounded_and_wastes_nothing(decoding: int, prompts: list[int], chunk: int) -> None:
    waiting = [Waiting(100 + index, left) for index, left in enumerate(prompts)]
    work = plan_step(range(decoding), waiting, chunk)
    counts = {item.slot: item.count for item in work}
    assert all(counts[slot] == 1 for slot in range(decoding))
    given_to_prompts = sum(count for slot, count in counts.items() if slot >= 100)
    assert given_to_prompts == min(chunk, sum(prompts))
    for prompt in waiting:
        assert counts.get(prompt.slot, 0) <= prompt.left
    assert all(item.last == (item.slot < 100 or item.count == prompts[item.slot - 100]) for item in work)
    assert all(item.count > 0 for item in work)
