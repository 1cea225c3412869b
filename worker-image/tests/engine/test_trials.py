"""Trials of grammars: each once, whatever came of it, and one after the other."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from llguidance import LLMatcher

from slicewise_worker.engine import grammar_trial
from slicewise_worker.engine.grammar_trial import COMPILED_BYTES, GrammarError, Trials, UntriedError

GOOD = LLMatcher.grammar_from_json_schema({"const": 1})
BAD = LLMatcher.grammar_from_json_schema({"type": "string", "pattern": "(?=a)b"})


class Counted:
    """The real trial, which counts how often it runs, and how many run at once."""

    def __init__(self) -> None:
        self.runs = self.now = self.most = 0
        self._try = grammar_trial._try
        self._lock = threading.Lock()

    def __call__(self, grammar: str) -> int:
        with self._lock:
            self.runs, self.now = self.runs + 1, self.now + 1
            self.most = max(self.most, self.now)
        try:
            return self._try(grammar)
        finally:
            with self._lock:
                self.now -= 1


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(grammar_trial, "_try", counted)
    return counted


def outcome(trials: Trials, grammar: str) -> str:
    try:
        trials.passed(grammar)
    except GrammarError as error:
        return str(error)
    return ""


def test_what_came_of_a_trial_is_remembered_refusals_too(counted: Counted) -> None:
    trials = Trials()
    first = [outcome(trials, grammar) for grammar in (GOOD, BAD)]
    assert (first[0], "look-around" in first[1]) == ("", True)
    assert [outcome(trials, grammar) for grammar in (GOOD, BAD)] == first
    assert counted.runs == 2


@pytest.mark.parametrize(
    ("schema", "bound"),
    [
        ({"type": "integer", "multipleOf": 99991}, "more than 4 MiB"),
        ({"properties": {f"n{n}": {"type": "integer", "multipleOf": 97 + n} for n in range(200)}}, "more than 4 MiB"),
        ({"properties": {f"n{n}": {"type": "string", "pattern": f"^a{{{n}}}$"} for n in range(300)}}, ""),
    ],
)
def test_what_a_grammar_holds_once_it_is_compiled_is_bounded_and_known(schema: dict[str, object], bound: str) -> None:
    grammar = LLMatcher.grammar_from_json_schema(schema)
    if bound:
        with pytest.raises(GrammarError, match=bound):
            Trials().passed(grammar)
    else:
        assert Trials().passed(GOOD) < 1 << 19 < Trials().passed(grammar) <= COMPILED_BYTES


def test_threads_that_ask_together_try_one_grammar_once_and_others_one_after_the_other(counted: Counted) -> None:
    trials = Trials()
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(partial(outcome, trials), [GOOD, BAD] * 3))
    assert [bool(words) for words in found] == [False, True] * 3
    assert (counted.runs, counted.most) == (2, 1)


def test_who_does_not_wait_gets_the_trial_to_run_elsewhere(counted: Counted) -> None:
    trials = Trials()
    with pytest.raises(UntriedError) as untried:
        trials.passed(BAD, wait=False)
    assert counted.runs == 0
    untried.value.run()
    with pytest.raises(GrammarError, match="look-around"):
        trials.passed(BAD, wait=False)


def test_the_oldest_outcome_is_forgotten(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_trial, "_REMEMBERED", 1)
    trials = Trials()
    for grammar in (GOOD, BAD, BAD, GOOD):
        outcome(trials, grammar)
    assert counted.runs == 3
