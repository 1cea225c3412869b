"""Whose request is next, and what is removed where the queue is full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from types import MappingProxyType

from hypothesis import given, settings
from hypothesis import strategies as st

from slicewise_worker.engine.callers import MOST_WEIGHT, Tenant
from slicewise_worker.engine.tenants import ANSWER_COST, PROMPT_COST, FairQueue, Service


@dataclass(frozen=True, eq=False)
class Asked:
    """A request: tokens of its prompt and of its answer."""

    tenant: Tenant
    prompt: int = 1
    answer: int = 1
    number: int = 0


class Worker:
    """A worker with `slots`, in which each running request gets one token a step."""

    def __init__(self, slots: int, weights: Mapping[str, int] = MappingProxyType({})) -> None:
        self.queue: FairQueue[Asked] = FairQueue()
        for tenant, weight in weights.items():
            self.queue.weigh(tenant, weight)
        self.begun: list[Asked] = []
        self.given: Counter[Tenant] = Counter()
        self._slots = slots
        self._running: dict[Asked, int] = {}

    def step(self) -> None:
        while self.queue and len(self._running) < self._slots:
            asked = self.queue.pop()
            self.begun.append(asked)
            self._running[asked] = asked.answer
            self._give(asked.tenant, PROMPT_COST * asked.prompt)
        assert len(self._running) == self._slots or not self.queue, "no slot is empty while a request waits"
        for asked in [*self._running]:
            self._give(asked.tenant, ANSWER_COST)
            self._running[asked] -= 1
            if not self._running[asked]:
                del self._running[asked]

    def _give(self, tenant: Tenant, cost: int) -> None:
        self.queue.charge(tenant, cost)
        self.given[tenant] += cost


requests = st.tuples(st.integers(1, 50), st.integers(1, 20))
weights = st.lists(st.integers(1, MOST_WEIGHT), min_size=4, max_size=4)


@settings(deadline=None)
@given(
    st.integers(1, 8),
    st.lists(st.lists(requests, min_size=1, max_size=4), min_size=2, max_size=4),
    st.just([1] * 4) | weights,
)
def test_tenants_who_always_wait_get_as_much_as_they_weigh_within_a_bound(
    slots: int, kinds: list[list[tuple[int, int]]], weights: list[int]
) -> None:
    weight = dict(zip("abcd", weights, strict=True))
    worker = Worker(slots, weight)
    bound = 2 * max(PROMPT_COST * 50, ANSWER_COST * slots * 20) + PROMPT_COST * 50
    sent: Counter[str] = Counter()
    for _ in range(120):
        for name, kind in zip("abcd", kinds, strict=False):
            while sum(asked.tenant == name for asked in worker.queue) < slots + 1:
                worker.queue.push(Asked(name, *kind[sent[name] % len(kind)], sent[name]))
                sent[name] += 1
        worker.step()
        for one, other in combinations(sent, 2):
            assert abs(worker.given[one] / weight[one] - worker.given[other] / weight[other]) <= bound
    for name in sent:
        numbers = [asked.number for asked in worker.begun if asked.tenant == name]
        assert numbers == sorted(numbers), "those of one tenant stay in their order"


def test_a_tenant_of_ten_times_the_load_holds_up_nobody() -> None:
    worker = Worker(1)
    for number in range(100):
        worker.queue.push(Asked("heavy", 10, 10, number))
    worker.step()
    for number in range(3):
        worker.queue.push(Asked("light", 10, 10, number))
    for _ in range(70):
        worker.step()
    assert [asked.tenant for asked in worker.begun[:7]] == [
        "heavy",
        "light",
        "heavy",
        "light",
        "heavy",
        "light",
        "heavy",
    ]


@settings(deadline=None)
@given(st.integers(1, 8), requests, requests, st.integers(1, MOST_WEIGHT))
def test_the_lightest_tenant_does_not_starve(
    slots: int, light: tuple[int, int], heavy: tuple[int, int], weight: int
) -> None:
    worker = Worker(slots, {"heavy": weight})
    for number in range(2000):
        worker.queue.push(Asked("heavy", *heavy, number))
    for _ in range(10):
        worker.step()
    begun = worker.given["heavy"]
    worker.queue.push(Asked("light", *light))
    while all(asked.tenant != "light" for asked in worker.begun):
        worker.step()
    # It is raised to the one that waits, so only what was begun before is given first.
    whole = PROMPT_COST * heavy[0] + ANSWER_COST * heavy[1]
    assert worker.given["heavy"] - begun <= (slots + 1) * whole


def test_weights_are_remembered_no_longer_than_counters() -> None:
    queue: FairQueue[Asked] = FairQueue()
    for number in range(20_000):
        queue.weigh(f"tenant-{number}", 2)
        if number % 2:
            queue.push(Asked(f"tenant-{number}"))
            queue.pop()
        assert len(queue._ranks._services[0]._weights) <= 4096
    queue.weigh("tenant-19999", 1)
    assert queue.weight("tenant-19999") == queue.weight("never seen") == 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 100)), min_size=1, max_size=20), st.integers(0, 60))
def test_near_are_those_who_were_given_little_more_than_the_next(given: list[tuple[str, int]], lead: int) -> None:
    queue: FairQueue[Asked] = FairQueue()
    for tenant, _ in given:
        queue.push(Asked(tenant))
    for tenant, cost in given:
        queue.charge(tenant, cost)
    had = {tenant: sum(cost for name, cost in given if name == tenant) for tenant, _ in given}
    first = queue.next_tenant()
    assert set(queue.near(first, lead)) == {name for name in had if name != first and had[name] - had[first] <= lead}


def test_nobody_saves_up_service_by_not_asking() -> None:
    worker = Worker(1)
    for number in range(200):
        worker.queue.push(Asked("busy", 10, 10, number))
    for _ in range(500):
        worker.step()
    begun = len(worker.begun)
    for number in range(100):
        worker.queue.push(Asked("rested", 10, 10, number))
    for _ in range(200):
        worker.step()
    later = [asked.tenant for asked in worker.begun[begun:]]
    assert abs(later.count("rested") - later.count("busy")) <= 1


def test_requests_without_a_tenant_are_one_tenant_and_come_in_their_order() -> None:
    worker = Worker(2)
    for number in range(6):
        worker.queue.push(Asked(None, 1, 1, number))
    for _ in range(3):
        worker.step()
    assert [asked.number for asked in worker.begun] == list(range(6))


def test_no_more_tenants_are_remembered_than_ask_and_some() -> None:
    service = Service()
    for number in range(20_000):
        service.lift(f"tenant-{number}", ())
        service.charge(f"tenant-{number}", number)
        service.forget(["tenant-0"])
        assert len(service._given) <= 1026
    assert "tenant-0" in service._given, "it waits"


def test_the_newest_of_whom_most_waits_gives_way() -> None:
    queue: FairQueue[Asked] = FairQueue()
    entries = [Asked("a", number=number) for number in range(3)] + [Asked("b", number=number) for number in range(2)]
    for entry in entries:
        queue.push(entry)
    assert queue.to_remove("c", 1, 1, lambda _: 1) == [entries[2]]
    assert queue.to_remove("c", 1, 2, lambda _: 1) == [entries[2], entries[1]]
    assert queue.to_remove("a", 1, 1, lambda _: 1) == [], "nobody has more than it"
    assert queue.to_remove("c", 2, 2, lambda _: 1) == [], "one of both would have less than it then"


names = st.sampled_from(["a", "b", "c", None])


@settings(deadline=None)
@given(st.lists(st.tuples(names, st.integers(0, 9)), max_size=20), names, st.integers(1, 9), st.integers(1, 30))
def test_to_remove_frees_enough_and_is_left_with_as_much_as_the_other(
    waiting: list[tuple[Tenant, int]], tenant: Tenant, more: int, needed: int
) -> None:
    queue: FairQueue[Asked] = FairQueue()
    for name, size in waiting:
        queue.push(Asked(name, size))
    going = queue.to_remove(tenant, more, needed, lambda asked: asked.prompt)
    assert len(going) == len(set(going))
    assert not going or sum(asked.prompt for asked in going) >= needed
    queue.keep(lambda asked: asked not in going)
    assert len(queue) == len(waiting) - len(going)
    left: Counter[Tenant] = Counter()
    for asked in queue:
        left[asked.tenant] += asked.prompt
    for asked in going:
        assert asked.tenant != tenant
        assert left[asked.tenant] >= left[tenant] + more
