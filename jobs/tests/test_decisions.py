"""What is decided without I/O."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slicewise_jobs.decisions.address import AddressError, read_address
from slicewise_jobs.decisions.body import (
    CHAT,
    COMPLETIONS,
    RefusedError,
    make_id,
    read_id,
    read_wanted,
    show_id,
)
from slicewise_jobs.decisions.limited import Limited
from slicewise_jobs.decisions.outcome import Attempt, Fate, counts, read_answer, retry_delay
from slicewise_jobs.decisions.pace import GATHER, Pace, look_after
from slicewise_jobs.decisions.rank import ranks
from slicewise_jobs.decisions.states import State, poll_after, seen_as

TENANTS = st.lists(st.sampled_from("abc"), max_size=30)


@given(TENANTS, st.dictionaries(st.sampled_from("abc"), st.integers(1, 50)), st.integers(1, 50))
def test_a_tenants_first_job_comes_next_and_each_further_one_a_turn_later(
    tenants: list[str], last: dict[str, int], lowest: int
) -> None:
    given_ranks = ranks(tenants, last, lowest)
    for tenant in set(tenants):
        mine = [rank for one, rank in zip(tenants, given_ranks, strict=True) if one == tenant]
        assert mine[0] == max(lowest, last.get(tenant, 0) + 1)
        assert mine == list(range(mine[0], mine[0] + len(mine)))


@given(st.lists(st.sampled_from("ab"), min_size=1, max_size=40))
def test_a_new_tenants_one_job_comes_after_one_of_each_other_at_most(tenants: list[str]) -> None:
    """The queue as the database has it: sorted by rank, then by arrival; some of it has been claimed."""
    queue = sorted(zip(ranks(tenants, {}, None), range(len(tenants)), tenants, strict=True))
    for claimed in range(len(queue)):
        rest = queue[claimed:]
        (rank,) = ranks(["new"], {}, rest[0][0])
        before = [tenant for place, _, tenant in rest if place <= rank]
        assert len(before) == len(set(before))


@pytest.mark.parametrize(
    ("status", "headers", "code", "fate"),
    [
        (200, {}, "", Fate.DONE),
        (400, {}, "invalid_value", Fate.FAILED),
        (404, {}, "model_not_found", Fate.FAILED),
        (302, {}, "", Fate.FAILED),
        (401, {}, "invalid_api_key", Fate.REFUSED),
        (429, {}, "rate_limit_exceeded", Fate.LIMITED),
        (503, {"x-slicewise-not-started": "1"}, "queue_full", Fate.REFUSED),
        (503, {"x-slicewise-held": "60"}, "no_worker", Fate.REFUSED),
        (503, {}, "overloaded", Fate.REFUSED),
        (503, {}, "no_worker", Fate.UNCLEAR),
        (500, {}, "engine_failed", Fate.AGAIN),
        (502, {}, "bad_gateway", Fate.AGAIN),
        (504, {}, "timeout", Fate.AGAIN),
        (408, {}, "request_timeout", Fate.AGAIN),
        (599, {}, "", Fate.AGAIN),
    ],
)
def test_an_answer_decides_what_becomes_of_a_job(status: int, headers: dict[str, str], code: str, fate: Fate) -> None:
    body = json.dumps({"error": {"message": "words", "code": code}}).encode()
    assert read_answer(status, headers, body).fate is fate


@given(st.integers(100, 599), st.binary(max_size=60), st.text(max_size=8))
def test_any_answer_is_understood(status: int, body: bytes, after: str) -> None:
    attempt = read_answer(status, {"Retry-After": after}, body)
    assert 0 <= attempt.retry_after <= 99999
    assert len(attempt.error) <= 500


def test_words_that_no_database_takes_are_made_storable() -> None:
    attempt = read_answer(400, {}, b'{"error": {"message": "half \\ud83d", "code": "\\ud83d"}}')
    assert attempt.error.encode().decode() == "400 from the gateway: ?: half ?"


def test_what_is_not_known_counts_only_while_others_are_served_or_after_very_many_claims() -> None:
    unclear = Attempt(Fate.UNCLEAR)
    assert counts(unclear, served_meanwhile=True, claims=1, most_attempts=5)
    assert not counts(unclear, served_meanwhile=False, claims=99, most_attempts=5)
    assert counts(unclear, served_meanwhile=False, claims=100, most_attempts=5)
    assert not counts(Attempt(Fate.REFUSED), served_meanwhile=True, claims=10_000, most_attempts=5)
    assert counts(Attempt(Fate.AGAIN), served_meanwhile=False, claims=1, most_attempts=5)


def test_each_attempt_waits_twice_as_long_up_to_five_minutes() -> None:
    assert [retry_delay(failures, 2, 1.0) for failures in (1, 2, 3, 4, 1000)] == [2, 4, 8, 16, 300]
    assert retry_delay(1, 2, 0.0) == 1


def test_refusals_halve_the_slots_once_and_answers_bring_them_back() -> None:
    pace = Pace(8)
    for _ in range(5):
        pace.refused(2, now=100)
    assert (pace.room(0, 101), pace.room(0, 102)) == (0, 4)
    pace.refused(1, now=102)
    assert pace.room(0, 103) == 2
    assert pace.room(5, 103) == 0
    for _ in range(100):
        pace.succeeded()
    assert pace.room(0, 103) == 8
    for moment in range(200, 300, 2):
        pace.refused(0, now=moment)
    assert pace.room(0, 300) == 1
    pace.refused(86400, now=300)
    assert pace.room(0, 361) == 1


def test_a_limited_tenant_waits_for_as_long_as_it_was_asked_to_and_few_of_them_are_known() -> None:
    limited = Limited(most=2)
    limited.refused("first", 5, now=100)
    limited.refused("first", 2, now=101)
    limited.refused("second", 86400, now=100)
    assert limited.now(102) == {"first": 3, "second": 58}
    limited.refused("third", 10, now=103)
    assert limited.now(103) == {"second": 57, "third": 10}
    for number in range(1000):
        limited.refused(f"tenant {number}", 1 + number % 50, now=104)
    assert len(limited.now(104)) <= 2
    assert limited.now(1000) == {}


def test_slots_that_end_close_together_are_filled_by_one_claim() -> None:
    pace = Pace(8)
    assert pace.gather(7, claimed_at=float("-inf"), now=100) == 0
    assert pace.gather(7, claimed_at=100, now=100) == pytest.approx(GATHER)
    assert pace.gather(7, claimed_at=100, now=100 + 2 * GATHER) == 0
    # Half of them are free, or all of one.
    assert pace.gather(4, claimed_at=100, now=100) == 0
    assert Pace(1).gather(0, claimed_at=100, now=100) == 0


def test_a_prompt_becomes_a_request_of_the_kind_that_the_pool_serves() -> None:
    raw = b'{"prompt": "hi", "params": {"model": "other", "max_tokens": 3}}'
    chat = read_wanted(raw, {}, model="tiny", chat=True)
    assert (chat.path, json.loads(chat.body)) == (
        CHAT,
        {"model": "other", "max_tokens": 3, "messages": [{"role": "user", "content": "hi"}]},
    )
    plain = read_wanted(b'{"prompt": "hi"}', {}, model="tiny", chat=False)
    assert (plain.path, json.loads(plain.body)) == (COMPLETIONS, {"model": "tiny", "prompt": "hi"})


def test_a_body_without_a_model_gets_the_pools() -> None:
    raw = b'{"messages": [{"role": "user", "content": "\\ud800"}]}'
    assert json.loads(read_wanted(raw, {}, model="tiny", chat=True).body)["model"] == "tiny"
    assert read_wanted(raw, {}, model="", chat=True).body == raw


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_any_body_is_taken_or_refused_by_name(raw: bytes) -> None:
    with suppress(RefusedError):
        assert json.loads(read_wanted(raw, {}, model="tiny", chat=True).body)


@given(st.floats(0, 4e9), st.binary(min_size=10, max_size=10))
def test_an_id_reads_as_it_is_shown(now: float, random: bytes) -> None:
    job_id = make_id(now, random)
    assert read_id(show_id(job_id)) == job_id
    assert read_id(show_id(job_id).upper()) is None


@pytest.mark.parametrize(("due_in", "seconds"), [(None, 2), (60.0, 2), (1.5, 1.5), (0.001, 0.25), (0.0, 0.25)])
def test_an_idle_dispatcher_looks_again_when_a_wait_ends_and_not_too_often(
    due_in: float | None, seconds: float
) -> None:
    assert look_after(2, due_in) == seconds


def test_polls_get_rarer_and_end() -> None:
    assert [poll_after(State.RUNNING, age) for age in (0, 20, 1e6)] == [1, 5, 30]
    assert poll_after(State.DONE, 1e6) == 0
    assert seen_as("queued") == (State.QUEUED, State.WAITING)
    assert seen_as("waiting") is None


def test_an_address_is_read_with_all_that_a_password_may_have() -> None:
    address = read_address("mysql://us%40er:p%2F%3A%20w@db.example:3307/jobs\n")
    assert (address.host, address.port, address.user, address.password) == ("db.example", 3307, "us@er", "p/: w")
    assert address.tls
    assert "p/" not in repr(address)
    assert not read_address("mariadb://u:p@h/d?tls=off").tls
    assert read_address("mysql://u@[fd00::1]/d").host == "fd00::1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "postgres://u:secret@h/d",
        "mysql://u:secret@h/",
        "mysql://u:secret@h:99999/d",
        "mysql://u:secret@h/d?tls=no",
        "mysql://h/d",
        "mysql://u:secret@h/d?x=1",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_without_its_password(text: str) -> None:
    with pytest.raises(AddressError) as refused:
        read_address(text)
    assert "secret" not in str(refused.value)
