"""What the edge decides without I/O, and how one answer is read by many."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise.envoy import EdgeEndpoint, GatewayModel, ResponseCache, RevisionRoute, render_gateway
from slicewise_gateway.edge.body import Body, Budget
from slicewise_gateway.edge.breaker import Breaker
from slicewise_gateway.edge.flight import Flight, Flights, Head, Reader, TooSlowError
from slicewise_gateway.edge.request import (
    Scope,
    WishError,
    cache_key,
    cacheable,
    canonical,
    check,
    read_fields,
    read_wish,
)
from slicewise_gateway.edge.runtime import Runtime, RuntimeFile, parse_runtime
from slicewise_gateway.edge.workers import count_healthy

texts = st.text(max_size=8)


def test_the_edge_reads_the_shares_that_the_operator_writes() -> None:
    routes = (RevisionRoute("aaaa1111", 95, (), answers="x"), RevisionRoute("bbbb2222", 5, (), answers="y"))
    model = GatewayModel("chat", routes, edge=EdgeEndpoint(), cache=ResponseCache(ttl_seconds=30))
    found = parse_runtime(render_gateway(model).files["rtds.json"])
    assert found == Runtime({"aaaa1111": 95, "bbbb2222": 5}, {"aaaa1111": "x", "bbbb2222": "y"}, 30, 60)
    without = parse_runtime(render_gateway(GatewayModel("chat", routes)).files["rtds.json"])
    assert without == Runtime({"aaaa1111": 95, "bbbb2222": 5})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"resources": []}', '{"resources": [{"layer": 1}]}'])
def test_a_file_that_says_nothing_gives_no_share_to_anyone(text: str) -> None:
    assert parse_runtime(text).draw(0.5) is None


def test_revisions_are_drawn_by_their_weights() -> None:
    runtime = Runtime({"a": 1, "b": 3})
    drawn = [runtime.draw(number / 1000) for number in range(1000)]
    assert (drawn.count("a"), drawn.count("b")) == (250, 750)


def test_the_next_look_sees_what_was_written_last(tmp_path: Path) -> None:
    runtime = RuntimeFile(tmp_path)
    assert runtime.current() == Runtime()
    for weight in (1, 2, 3):
        new = tmp_path / "new"
        new.write_text(json.dumps({"resources": [{"layer": {"slicewise.weight.rev-a": weight}}]}))
        new.rename(tmp_path / "rtds.json")
        assert runtime.current().weights == {"a": weight}
    (tmp_path / "rtds.json").unlink()
    assert runtime.current() == Runtime()


def test_requests_wait_for_the_revision_that_most_of_them_are_for() -> None:
    runtime = Runtime({"stable": 95, "canary": 5})
    assert runtime.most_can_go_on({"stable": 1})
    assert not runtime.most_can_go_on({"canary": 9})
    assert not runtime.most_can_go_on({})
    assert Runtime({"old": 50, "new": 50}).most_can_go_on({"new": 1})


@given(one=st.tuples(texts, texts, texts, texts, texts), other=st.tuples(texts, texts, texts, texts, texts))
def test_different_owners_never_share_a_key(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    def key(pool: str, tenant: str, revision: str, answers: str, path: str) -> str:
        return cache_key(Scope(pool, tenant), revision, answers, path, b"{}")

    assert (key(*one) == key(*other)) == (one == other)
    nobody = cache_key(Scope(one[0], None), *one[2:], b"{}")
    assert nobody != key(*one)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@given(fields=st.dictionaries(texts, json_values, max_size=5))
def test_what_is_sent_on_means_what_the_client_said(fields: dict[str, object]) -> None:
    body = canonical(read_fields(json.dumps(fields, indent=1).encode()))
    assert body is not None
    assert json.loads(body) == fields
    assert canonical(dict(reversed(fields.items()))) == body


def test_half_a_character_is_not_sent_on_as_another_one() -> None:
    assert canonical(read_fields(b'{"x": "\\ud800"}')) is None


def test_a_server_that_fails_is_left_alone_and_tried_again_by_one_at_a_time() -> None:
    breaker = Breaker(failures=2, open_seconds=1)
    breaker.failed(0)
    assert breaker.allows(0)
    breaker.failed(0)
    assert breaker.is_open
    assert not breaker.allows(0.9)
    assert breaker.allows(1)
    assert not breaker.allows(1.5), "somebody tries already"
    breaker.succeeded()
    assert breaker.allows(1.5)


def test_only_workers_that_envoy_would_ask_are_counted() -> None:
    def host(port: int, address: str = "10.0.0.1", **health: object) -> dict[str, object]:
        return {"address": {"socket_address": {"address": address, "port_value": port}}, "health_status": health}

    hosts = [
        host(1, eds_health_status="HEALTHY"),
        host(2, eds_health_status="DRAINING"),
        host(3, eds_health_status="HEALTHY", failed_active_health_check=True),
        host(4, eds_health_status="HEALTHY", failed_outlier_check=True),
        host(8081, "127.0.0.1", eds_health_status="HEALTHY"),
    ]
    clusters = {"cluster_statuses": [{"name": "rev-a", "host_statuses": hosts}, {"name": "rev-b"}, {"name": "edge"}]}
    assert count_healthy(clusters, 8081) == {"a": 1, "b": 0}


async def test_an_answer_too_large_to_keep_is_read_whole_by_those_who_were_there() -> None:
    part, parts = b"x" * 100_000, 50

    async def fly(flight: Flight) -> None:
        flight.begin(Head(200, {}, "miss"))
        for _ in range(parts):
            await flight.write(part)
        flight.end()

    flights = Flights(keep_bytes=300_000, all_bytes=1 << 30)
    flight, first, mine = flights.join("key", fly)
    _, second, shared = flights.join("key", fly)
    assert (mine, shared) == (True, False)

    async def read(reader: object) -> int:
        return sum([len(found) async for found in flight.read(reader)])  # type: ignore[arg-type]  # what `join` gave

    assert await asyncio.gather(read(first), read(second)) == [parts * len(part)] * 2
    assert flight.whole() is None
    other, _, again = flights.join("key", fly)
    assert again, "who comes later gets an answer of its own"
    assert other is not flight
    await flights.close()


async def test_a_reader_who_has_stopped_holds_up_the_others_for_a_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicewise_gateway.edge.flight._PATIENCE_SECONDS", 0.05)
    part = b"x" * 500_000

    async def fly(flight: Flight) -> None:
        flight.begin(Head(200, {}, "miss"))
        for _ in range(10):
            await flight.write(part)
        flight.end()

    flights = Flights(keep_bytes=1, all_bytes=1 << 30)
    flight, reader, _ = flights.join("key", fly)
    stopped = flight.join()
    assert sum([len(found) async for found in flight.read(reader)]) == 10 * len(part)
    with pytest.raises(TooSlowError):
        await anext(flight.read(stopped))


async def test_many_answers_together_are_bounded_too() -> None:
    go = asyncio.Event()

    async def fly(flight: Flight) -> None:
        flight.begin(Head(200, {}, "miss"))
        await flight.write(b"x" * 300_000)
        await go.wait()
        flight.end()

    flights = Flights(keep_bytes=400_000, all_bytes=700_000)
    joined = [flights.join(str(number), fly) for number in range(4)]
    await asyncio.gather(*(flight.started() for flight, _, _ in joined))
    assert [flight.is_open for flight, _, _ in joined] == [True, True, False, False]
    read = [asyncio.ensure_future(_all_of(flight, reader)) for flight, reader, _ in joined]
    go.set()
    assert await asyncio.gather(*read) == [300_000] * 4, "all are passed on"
    for flight, reader, _ in joined:
        flight.leave(reader)
    assert flights.kept.taken == 0
    await flights.close()


async def _all_of(flight: Flight, reader: Reader) -> int:
    return sum([len(found) async for found in flight.read(reader)])


@pytest.mark.parametrize("text", [None, "", "use", " Bypass "])
def test_a_wish_about_the_cache_is_one_of_two_words(text: str | None) -> None:
    assert read_wish(text) is {None: None, "": None, "use": True, " Bypass ": False}[text]


@pytest.mark.parametrize("text", ["no-store", "yes", "use, bypass", "x" * 9000])
def test_another_wish_is_refused_in_words(text: str) -> None:
    with pytest.raises(WishError, match="write use or bypass") as failure:
        read_wish(text)
    assert len(str(failure.value)) < 200


def test_a_body_with_more_parts_than_a_question_has_is_not_parsed() -> None:
    many = b'{"temperature": 0, "x": [' + b",".join([b"{}"] * 200_000) + b"]}"
    assert cacheable(many, None) is None
    check(many)
    check(b"{" * 200_000)
    text = b'{"temperature": 0, "prompt": "' + b"Lorem ipsum dolor, sit amet; " * 30_000 + b'"}'
    assert cacheable(text, None) is not None, "long texts are questions"


async def test_bodies_wait_for_room_in_the_order_in_which_they_came() -> None:
    budget = Budget(10)
    first = await budget.take(8)
    order: list[int] = []

    async def wants(size: int) -> None:
        share = await budget.take(size)
        order.append(size)
        share.shrink(0)

    waiting = [asyncio.create_task(wants(size)) for size in (9, 1, 99)]
    await asyncio.sleep(0)
    assert order == [], "a small one does not overtake"
    gives_up = asyncio.create_task(wants(5))
    await asyncio.sleep(0)
    gives_up.cancel()
    await asyncio.gather(gives_up, return_exceptions=True)
    Body(b"x" * 8, first).let_go()
    await asyncio.gather(*waiting)
    assert order == [9, 1, 99], "what is larger than all of it takes all of it"
    assert budget.taken == 0


async def test_small_bodies_pass_a_large_one_but_not_for_ever() -> None:
    budget = Budget(640)
    running = await budget.take(200)
    large = asyncio.create_task(budget.take(600))
    await asyncio.sleep(0)
    for _ in range(64):
        (await budget.take(10)).shrink(0)
    assert not large.done()
    small = asyncio.create_task(budget.take(10))
    await asyncio.sleep(0)
    assert not small.done(), "as much as fits in all has passed"
    running.shrink(0)
    (await large).shrink(0)
    (await small).shrink(0)
    assert budget.taken == 0


async def test_an_answer_that_was_looked_up_counts_until_its_last_reader_has_left() -> None:
    async def fly(flight: Flight) -> None:
        flight.begin(Head(200, {}, "hit"))
        flight.fill(b"x" * 300_000)

    flights = Flights(keep_bytes=400_000, all_bytes=400_000)
    flight, first, _ = flights.join("key", fly)
    second = flight.join()
    await flight.started()
    await asyncio.sleep(0)  # the task is done
    assert (flight.length(), flights.kept.taken) == (300_000, 300_000)
    assert await _all_of(flight, first) == 300_000
    flight.leave(first)
    assert flights.kept.taken == 300_000
    with flights.kept.room(100_001) as fits:
        assert not fits
    flight.leave(second)
    assert flights.kept.taken == 0


async def test_who_leaves_while_room_is_made_just_leaves() -> None:
    budget = Budget(10)
    share = await budget.take(10)
    waiting = asyncio.create_task(budget.take(5))
    await asyncio.sleep(0)
    waiting.cancel()
    share.shrink(0)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert budget.taken == 0
