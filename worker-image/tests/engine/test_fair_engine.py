"""Tenants in the engine: whose request is next, and who gives way in a full queue."""

from __future__ import annotations

import pytest

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
