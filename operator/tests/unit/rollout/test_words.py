"""The sentences that a person reads about a canary."""

from __future__ import annotations

from math import inf

import pytest

from slicewise.api.v1alpha1.rollout import CanarySpec, OnUndecided
from slicewise.pool.rollout.gate import LEFT, Policy
from slicewise.pool.rollout.power import Growth
from slicewise.pool.rollout.tally import Samples, Tally
from slicewise.pool.rollout.verdict_record import VerdictRecord
from slicewise.pool.rollout.words import counted, duration, nothing_told, outlook_words, rate, undecided_words

NOTHING = Samples()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "1 second"),
        (40, "40 seconds"),
        (89, "89 seconds"),
        (540, "9 minutes"),
        (4500, "75 minutes"),
        (3 * 3600, "3 hours"),
        (200_000, "2 days"),
    ],
)
def test_a_length_of_time(seconds: float, words: str) -> None:
    assert duration(seconds) == words


@pytest.mark.parametrize(
    ("requests", "words"),
    [(2, "2 requests/s"), (0.5, "0.5 requests/s"), (234.5, "234 requests/s"), (0.01, "36 requests/h")],
)
def test_a_rate(requests: float, words: str) -> None:
    assert rate(requests) == words


def judged(
    samples: Samples, rate: float = 2, cause: str = "", stable: Samples = NOTHING, watched: float = 60
) -> VerdictRecord:
    return VerdictRecord(tally=Tally(canary=samples, stable=stable), rate=rate, cause=cause, watched=watched)


def test_undecided_says_how_many_are_needed_and_how_long_that_takes() -> None:
    assert undecided_words(judged(Samples(31, 0, 31, 1)), 257, 540, 25) == (
        "undecided: 31 requests so far, about 260 more needed; at 2 requests/s and 25 % that takes about 9 minutes"
    )
    assert undecided_words(judged(Samples(1, 0, 1, 0), 0), 59, inf, 25) == (
        "undecided: 1 request so far, about 59 more needed; at present no request comes"
    )
    assert "these are not good" in undecided_words(judged(Samples(500, 20, 500, 0)), inf, inf, 25)
    enough = undecided_words(judged(Samples(400, 0, 400, 0)), 0, 10, 25)
    assert enough.endswith("the window is not over, or the latest have still to be answered")


def test_what_is_counted_out_is_said_to_be_that_and_never_that_nobody_asked() -> None:
    some = Samples(31, 0, 31, 1, refused=4, left=1)
    assert undecided_words(judged(some), 257, 540, 25).startswith(
        "undecided: 31 requests so far (4 refused by it (4xx), 1 left by their clients not counted), about"
    )
    assert counted(some, CanarySpec(p95="600ms")) == (
        "0 of 31 requests failed (maxErrors 1%), 1 of 31 were slower than 600ms (5 % may be), "
        "not counted: 4 refused by it (4xx), 1 left by their clients"
    )
    all_refused = judged(Samples(refused=14), stable=Samples(requests=260, refused=1))
    assert nothing_told(all_refused, 5) == (
        "all 14 requests of the canary in 60 seconds at 5 % of the traffic were counted out: 14 refused by it (4xx); "
        "stable refused 1 of 261"
    )
    assert nothing_told(judged(Samples(refused=1)), 5).endswith("; no request of stable to compare it with")
    assert nothing_told(judged(NOTHING), 5) == "not one request of the canary in 60 seconds at 5 % of the traffic"


def test_clients_that_leave_are_said_to_hold_a_pass_back() -> None:
    words = undecided_words(judged(Samples(900, 0, 900, 0, left=100), cause=LEFT), 0, 0, 25)
    assert "good enough, but clients leave it sooner than they leave stable" in words


def test_at_the_start_it_is_said_what_the_gate_can_tell() -> None:
    canary = CanarySpec(p95="600ms")
    assert outlook_words(2, Growth(5, 60, 25), Policy(), canary, 3600) == (
        "at 2 requests/s: a good version passes in about 11 minutes, twice the allowed errors are found in about 55 minutes, "
        "twice the allowed slow answers are found in about 12 minutes"
    )


@pytest.mark.parametrize(
    ("then", "words"),
    [
        (OnUndecided.HOLD, "it will be held as undecided"),
        (OnUndecided.PROMOTE, "it will be promoted without proof"),
        (OnUndecided.ABORT, "it will be given up"),
    ],
)
def test_a_limit_that_the_traffic_can_never_decide_is_said_with_what_follows(then: OnUndecided, words: str) -> None:
    said = outlook_words(0.1, Growth(5, 60, 25), Policy(), CanarySpec(max_errors="1%", on_undecided=then), 3600)
    assert said.startswith(
        "too little traffic: at 0.1 requests/s a good version needs about 3 hours to pass (288 requests of the canary)"
    )
    assert words in said
