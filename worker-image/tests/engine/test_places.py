"""Who may begin an answer that keeps to a form, where memory has room for some at once only."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from slicewise_worker.engine.callers import Tenant
from slicewise_worker.engine.places import PlacedQueue
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST


@dataclass(frozen=True, eq=False)
class Asked:
    """A request whose answer has `answer` tokens."""

    tenant: Tenant
    constrained: bool
    submitted: int
    answer: int = 1


class Worker:
    """A worker with `slots`, in which each running request gets one token a step."""

    def __init__(self, slots: int, places: int) -> None:
        self.queue: PlacedQueue[Asked] = PlacedQueue(places)
        self.begun: list[Asked] = []
        self.running: dict[Asked, int] = {}
        self._slots = slots

    @property
    def free(self) -> int:
        return self._slots - len(self.running)

    def constrained(self) -> int:
        return sum(asked.constrained for asked in self.running)

    def admit(self) -> None:
        while self.queue.ready and self.free:
            asked = self.queue.pop()
            self.begun.append(asked)
            self.running[asked] = asked.answer
            self._give(asked, PROMPT_COST)

    def step(self) -> None:
        self.admit()
        for asked in [*self.running]:
            self._give(asked, ANSWER_COST)
            self.running[asked] -= 1
            if not self.running[asked]:
                del self.running[asked]
                self.queue.leave(asked)

    def _give(self, asked: Asked, cost: int) -> None:
        self.queue.charge(asked.tenant, cost)
        if asked.constrained:
            self.queue.charge_place(asked.tenant, cost)


names = st.sampled_from(["a", "b", "c", None])
requests = st.lists(st.tuples(names, st.booleans(), st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=40)


@given(requests, st.integers(1, 6), st.integers(1, 6))
def test_no_more_run_than_have_places_no_slot_is_left_free_for_them_and_all_end(
    come: list[tuple[Tenant, bool, int, int]], slots: int, places: int
) -> None:
    worker = Worker(slots, places)
    for number, (tenant, constrained, answer, steps) in enumerate(come):
        worker.queue.push(Asked(tenant, constrained, number, answer))
        for _ in range(steps):
            worker.step()
            assert worker.constrained() <= worker.queue.places_used <= places
            worker.admit()
            if worker.free and worker.queue:
                assert all(asked.constrained for asked in worker.queue)
                assert worker.constrained() == places, "a place and a slot were free"
    for _ in range(sum(answer for _, _, answer, _ in come)):
        worker.step()
    assert len(worker.begun) == len(come)
    assert not worker.queue
    assert worker.queue.places_used == 0
    for tenant in ("a", "b", "c", None):
        for constrained in (True, False):
            numbers = [one.submitted for one in worker.begun if (one.tenant, one.constrained) == (tenant, constrained)]
            assert numbers == sorted(numbers), "those of one tenant and kind stay in their order"


def test_a_request_passes_those_of_its_tenant_that_wait_for_a_place() -> None:
    worker = Worker(slots=2, places=1)
    for number, constrained in enumerate((True, True, False, True)):
        worker.queue.push(Asked("a", constrained, number, 3))
    worker.admit()
    assert [asked.submitted for asked in worker.begun] == [0, 2]


def test_with_a_place_the_oldest_of_a_tenant_is_next_again() -> None:
    worker = Worker(slots=1, places=1)
    for number, constrained in enumerate((True, True, False, False)):
        worker.queue.push(Asked("a", constrained, number, 2))
    for _ in range(8):
        worker.step()
    assert [asked.submitted for asked in worker.begun] == [0, 1, 2, 3]


def test_a_tenant_that_was_given_much_else_gets_its_turn_with_the_places_too() -> None:
    """By what each was given in all, the light tenant would be next at each place that is free, for ever."""
    worker = Worker(slots=4, places=1)
    wanted = Asked("heavy", True, 20, 9)
    for number in range(200):
        worker.queue.push(wanted if number == 20 else Asked("heavy", False, number, 9))
        worker.queue.push(Asked("light", True, number, 9))
    for _ in range(120):
        worker.step()
    assert wanted in worker.begun


def test_one_behind_a_long_queue_of_its_own_tenant_keeps_no_place_from_others() -> None:
    worker = Worker(slots=2, places=1)
    for number in range(200):
        worker.queue.push(Asked("heavy", False, number, 9))
    worker.queue.push(Asked("heavy", True, 200, 9))
    worker.step()
    light = Asked("light", True, 201, 9)
    worker.queue.push(light)
    for _ in range(10):
        worker.step()
    assert light in worker.begun


def test_a_tenant_whose_constrained_answers_wait_saves_up_no_service() -> None:
    worker = Worker(slots=4, places=1)
    for number in range(300):
        worker.queue.push(Asked("form", True, number, 9))
        worker.queue.push(Asked("busy", False, number, 9))
    for _ in range(200):
        worker.step()
    begun = len(worker.begun)
    for number in range(300, 400):
        worker.queue.push(Asked("form", False, number, 9))
    for _ in range(90):
        worker.step()
    later = Counter(asked.tenant for asked in worker.begun[begun:])
    assert later["busy"] >= later["form"] / 2


def test_tokens_of_constrained_answers_are_dealt_equally_whatever_their_length() -> None:
    worker = Worker(slots=2, places=1)
    for number in range(1000):
        worker.queue.push(Asked("long", True, number, 40))
        worker.queue.push(Asked("short", True, number, 2))
    for _ in range(2000):
        worker.step()
    given: Counter[Tenant] = Counter()
    for asked in worker.begun:
        given[asked.tenant] += PROMPT_COST + ANSWER_COST * asked.answer
    assert abs(given["long"] - given["short"]) <= 2 * (PROMPT_COST + ANSWER_COST * 40)


def test_who_leaves_the_queue_with_a_place_gives_it_to_the_next() -> None:
    queue: PlacedQueue[Asked] = PlacedQueue(1)
    first, second, third = (Asked("a", True, number) for number in range(3))
    for entry in (first, second, third):
        queue.push(entry)
    assert (len(queue), queue.ready) == (3, True)
    queue.keep(lambda entry: entry not in (first, second))
    assert [*queue] == [third]
    assert queue.pop() is third
    queue.leave(third)
    assert queue.places_used == 0


def test_the_newest_of_whom_most_waits_is_removed_whether_it_waits_for_a_place_or_a_slot() -> None:
    queue: PlacedQueue[Asked] = PlacedQueue(1)
    entries = [Asked("a", number != 2, number) for number in range(5)]
    for entry in entries:
        queue.push(entry)
    assert queue.to_remove("b", 1, 2, lambda _: 1) == [entries[4], entries[3]]
    assert queue.to_remove("b", 2, 3, lambda _: 1) == [entries[4], entries[3], entries[2]]
