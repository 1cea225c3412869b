"""Tenants in the engine: whose request is next, and who gives way in a full queue."""

from __future__ import annotations

import random
import time

import pytest
from held import held_at

from slicewise_worker.engine import loop
from slicewise_worker.engine.request import Broken, Finished, Generation, QueueFullError, Sampling

GREEDY = Sampling(temperature=0)
LONG = Generation([5, 6, 7], 100_000, GREEDY)
SHORT = Generation([5, 6, 7], 3, GREEDY)


def test_a_question_does_not_wait_for_all_that_another_tenant_asked_before(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=16384)
    holder, ticket = engine.submit(LONG, tenant="heavy")
    assert holder.started.wait(60)
    tenants = ("heavy", "heavy", "heavy", "light", "heavy", None)
    asked = [(tenant, engine.submit(SHORT, tenant=tenant)[0]) for tenant in tenants]
    steps = engine.engine.progress().steps
    engine.settle(lambda: engine.engine.progress().steps > steps + 2)
    engine.engine.cancel([ticket])
    assert all(isinstance(collector.end(), Finished) for _, collector in asked)
    order = [tenant for tenant, _ in sorted(asked, key=lambda one: one[1].ended_at)]
    assert set(order[:2]) == {"light", None}


def test_a_tenant_gets_as_many_answers_as_it_weighs(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, max_queue=24, context_tokens=16384)
    holder, ticket = engine.submit(LONG)
    assert holder.started.wait(60)
    asked = [
        (tenant, engine.submit(SHORT, tenant=tenant, weight=weight)[0])
        for tenant, weight in (("one", 1), ("three", 3))
        for _ in range(12)
    ]
    engine.engine.cancel([ticket])
    assert all(isinstance(collector.end(), Finished) for _, collector in asked)
    order = [tenant for tenant, _ in sorted(asked, key=lambda one: one[1].ended_at)]
    assert order[:16].count("three") in {11, 12}


def test_the_newest_of_a_tenant_who_fills_the_queue_gives_way_to_another(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, max_queue=3, context_tokens=16384)
    holder, _ = engine.submit(LONG, tenant="heavy")
    assert holder.started.wait(60)
    heavy = [engine.submit(SHORT, tenant="heavy")[0] for _ in range(3)]
    light, _ = engine.submit(SHORT, tenant="light")
    end = heavy[2].end()
    assert isinstance(end, Broken)
    assert end.code == "queue_full"
    assert 1 <= end.retry_after <= 60
    with pytest.raises(QueueFullError):
        engine.submit_together([SHORT] * 2, tenant="light")
    engine.submit(SHORT, tenant="another")
    assert isinstance(heavy[1].end(), Broken)
    with pytest.raises(QueueFullError):
        engine.submit(SHORT, tenant="a third")
    assert not light.events
    assert engine.engine.progress().waiting == 3


def test_long_prompts_of_one_tenant_that_fill_the_room_give_way_to_another_s(tiny, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=512, waiting_tokens=488)

    def prompt(tokens: int) -> Generation:
        return Generation([5] * tokens, 500, GREEDY)

    running, ticket = engine.submit(prompt(10), tenant="heavy")
    assert running.started.wait(60)
    heavy = [engine.submit(prompt(245), tenant="heavy")[0] for _ in range(4)]
    light, _ = engine.submit(prompt(200), tenant="light")
    assert isinstance(heavy[3].end(), Broken)
    with pytest.raises(QueueFullError, match="tokens"):
        engine.submit(prompt(400), tenant="light")
    choices = engine.submit_together([prompt(3)] * 2, tenant="light")
    engine.engine.cancel([ticket])
    for collector in (*heavy[:3], light, *choices):
        assert isinstance(collector.end(), Finished)


def test_a_tenant_with_fewer_slots_takes_one_though_another_was_given_less(tiny, bench) -> None:
    context, gate = held_at(40)
    engine = bench(tiny, sequences=2, context_type=context, context_tokens=4096, max_queue=8)
    heavy = [engine.submit(Generation([5, 6, 7], 1500, GREEDY), tenant="heavy")[0] for _ in range(3)]
    assert all(collector.started.wait(60) for collector in heavy[:2])
    engine.engine._waiting.charge("light", 500)
    light, _ = engine.submit(SHORT, tenant="light")
    engine.engine._waiting.charge("light", 500)
    assert engine.engine._waiting.next_tenant() == "heavy"
    gate.set()
    assert isinstance(light.end(), Finished)
    # By the times of the engine's thread: this one may be late.
    ends = [collector.ended_at for collector in heavy if collector.ended_at]
    assert all(light.ended_at < end for end in ends), "it would have waited for one of them"


def test_a_question_takes_a_slot_of_a_tenant_that_has_more_and_what_is_paused_goes_on_to_its_end(tiny, bench) -> None:
    penalized = Sampling(temperature=0, frequency_penalty=1.5)
    long = [Generation([5, 6, 7, seed], 200, penalized, logprobs=seed) for seed in (1, 2)]
    context, gate = held_at(40)
    engine = bench(tiny, sequences=2, context_type=context)
    heavy = [engine.submit(generation, tenant="heavy")[0] for generation in long]
    assert all(collector.started.wait(60) for collector in heavy)
    light, _ = engine.submit(SHORT, tenant="light")
    gate.set()
    for collector in heavy:
        end = collector.end()
        assert isinstance(end, Finished)
        # Not the text of one that is not paused: what is read again is rounded differently (ADR 36).
        assert end.generated == 200
        assert sum(len(event.chances) for event in collector.events if not isinstance(event, Broken)) == 200
        assert light.ended_at < collector.ended_at
    assert engine.engine.progress().cached_tokens == 0


class Ahead:
    """The clock of the engine's loop, which a test may set."""

    ahead = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.ahead


@pytest.mark.parametrize("cancelled", [True, False])
def test_an_answer_that_is_paused_can_be_given_up_and_its_time_runs(
    tiny, bench, monkeypatch: pytest.MonkeyPatch, cancelled: bool
) -> None:
    # Its time is over when the test says so: on a busy machine a short one may end before it is paused.
    monkeypatch.setattr(loop, "time", clock := Ahead())
    context, gate = held_at(20)
    engine = bench(tiny, sequences=2, context_type=context, context_tokens=16384)
    other, _ = engine.submit(LONG, seconds=600, tenant="heavy")
    paused, ticket = engine.submit(LONG, seconds=100, tenant="heavy")
    assert other.started.wait(60)
    light, _ = engine.submit(LONG, seconds=600, tenant="light")
    gate.set()
    assert light.started.wait(60)
    assert (engine.engine.progress().running, engine.engine.progress().waiting) == (2, 1)
    if cancelled:
        engine.engine.cancel([ticket])
        engine.settle(lambda: engine.engine.progress().waiting == 0)
        assert not paused.ended.is_set()
    else:
        clock.ahead = 200
        end = paused.end()
        assert isinstance(end, Broken)
        assert end.code == "timeout"
        assert "tokens" in end.message
    assert engine.engine.progress().running == 2


def forms(engine, count: int) -> list[Generation]:
    """Return requests for answers that keep to a schema and have 10,000 tokens at least."""
    schema = {"type": "array", "items": {"enum": [1]}, "minItems": 5000}
    constraints = [engine.engine.model.grammars.json_schema(schema) for _ in range(count)]
    return [Generation([5, 6, 7], 16_000, GREEDY, constraint=constraint) for constraint in constraints]


def test_an_answer_in_a_form_waits_for_a_place_and_others_pass_it(tiny, bench) -> None:
    engine = bench(tiny, sequences=3, context_tokens=16384, constrained=1)
    first, second = forms(engine, 2)
    running, ticket = engine.submit(first)
    assert running.started.wait(60)
    waits, other = engine.submit(second)
    assert isinstance(engine.submit(SHORT)[0].end(), Finished)
    assert not waits.started.is_set()
    progress = engine.engine.progress()
    assert (progress.running, progress.waiting, progress.constrained) == (1, 1, 1)
    engine.engine.cancel([ticket])
    assert waits.started.wait(60)
    engine.engine.cancel([other])
    engine.settle(lambda: not engine.engine.progress().busy)
    assert engine.engine.progress().constrained == 0


def test_as_many_answers_in_a_form_run_as_there_are_places_and_one_that_is_paused_keeps_its_own(tiny, bench) -> None:
    context, gate = held_at(20)
    engine = bench(tiny, sequences=2, context_type=context, context_tokens=16384, constrained=2)
    heavy = [engine.submit(generation, tenant="heavy")[0] for generation in forms(engine, 2)]
    assert all(collector.started.wait(60) for collector in heavy)
    light, _ = engine.submit(LONG, tenant="light")
    gate.set()
    assert light.started.wait(60)
    progress = engine.engine.progress()
    assert (progress.running, progress.waiting, progress.constrained) == (2, 1, 2)


def test_what_the_forms_of_waiting_requests_hold_is_bounded_and_a_tenant_with_less_gets_in(tiny, bench) -> None:
    one = forms(bench(tiny), 1)[0].constraint.waiting_bytes
    held, gate = held_at(2)
    room = {"constrained": 1, "context_tokens": 512, "waiting_constraint_bytes": int(3.5 * one)}
    engine = bench(tiny, sequences=1, context_type=held, **room)
    running, _ = engine.submit(Generation([5] * 8, 20, GREEDY), tenant="heavy")
    assert running.started.wait(60)
    heavy = [engine.submit(form, tenant="heavy")[0] for form in forms(engine, 3)]
    with pytest.raises(QueueFullError, match="schemas and grammars"):
        engine.submit(forms(engine, 1)[0], tenant="heavy")
    plain, _ = engine.submit(Generation([5] * 8, 2, GREEDY), tenant="heavy")
    light, _ = engine.submit(forms(engine, 1)[0], tenant="light")
    gate.set()
    assert heavy[2].end().code == "queue_full"
    for collector in (running, *heavy[:2], plain, light):
        assert isinstance(collector.end(), Finished)


def test_one_that_waits_for_a_place_can_be_given_up_and_its_time_runs(tiny, bench) -> None:
    engine = bench(tiny, sequences=3, context_tokens=16384, constrained=1)
    first, second, third = forms(engine, 3)
    assert engine.submit(first)[0].started.wait(60)
    engine.engine.cancel([engine.submit(second)[1]])
    end = engine.submit(third, seconds=0.5)[0].end()
    assert isinstance(end, Broken)
    assert end.code == "timeout"
    engine.settle(lambda: engine.engine.progress().waiting == 0)


def test_the_memory_of_a_form_is_freed_with_the_place_though_its_request_is_still_held(tiny, bench) -> None:
    engine = bench(tiny, sequences=1)
    constraint = engine.engine.model.grammars.json_schema({"enum": [1]})
    collector, ticket = engine.submit(Generation([5, 6, 7], 50, GREEDY, constraint=constraint))
    assert isinstance(collector.end(), Finished)
    engine.settle(lambda: not engine.engine.progress().busy)
    assert ticket.generation.constraint is constraint
    assert not hasattr(constraint, "_matcher")


@pytest.mark.parametrize("seed", range(3))
def test_whatever_comes_and_goes_everything_ends_and_nothing_is_left(tiny, bench, seed: int) -> None:
    draw = random.Random(seed)
    engine = bench(tiny, sequences=3, max_queue=200)
    kept = []
    for _ in range(60):
        generation = Generation([5] * draw.randint(1, 90), draw.randint(1, 60), GREEDY)
        collector, ticket = engine.submit(generation, tenant=draw.choice(["a", "a", "a", "b", "c", None]))
        if draw.random() < 0.2:
            engine.engine.cancel([ticket])
        else:
            kept.append((collector, generation))
        steps = engine.engine.progress().steps + draw.choice([0, 0, 1, 5])
        engine.settle(lambda steps=steps: engine.engine.progress().steps >= steps or not engine.engine.progress().busy)
    for collector, generation in kept:
        end = collector.end()
        assert isinstance(end, Finished)
        assert end.generated == generation.max_tokens
    engine.settle(lambda: not engine.engine.progress().busy)
    assert engine.engine.progress().cached_tokens == 0
    assert len(engine.engine._slots) == 3
    assert not engine.engine._paused
