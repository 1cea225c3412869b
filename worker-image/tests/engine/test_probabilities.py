"""How likely tokens were, and what a bias does, on real llama.cpp."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slicewise_worker.engine.request import Chances, Finished, Generation, Piece, Sampling
from slicewise_worker.engine.sampler import LEAST_LOGPROB, Likeliest

GREEDY = Sampling(temperature=0)


@pytest.fixture
def engine(tiny: Path, bench: Callable[..., Any]) -> Any:
    return bench(tiny)


def chances_of(collector: Any) -> list[Chances]:
    end = collector.end()
    assert isinstance(end, Finished)
    return [place for event in collector.events if isinstance(event, Piece | Finished) for place in event.chances]


def test_the_likeliest_tokens_come_with_each_token_of_the_answer(engine: Any) -> None:
    collector, _ = engine.submit(Generation(engine.tokens("Hello"), 12, GREEDY, logprobs=5))
    places = chances_of(collector)
    assert len(places) == 12
    tokenizer = engine.engine.model.tokenizer
    said = b"".join(tokenizer.piece(place.token) for place in places).decode("utf-8", "replace")
    assert said == collector.text
    for place in places:
        assert len(place.likeliest) == len(place.logprobs) == 5
        assert list(place.logprobs) == sorted(place.logprobs, reverse=True)
        assert place.token == place.likeliest[0]
        assert place.logprob == pytest.approx(place.logprobs[0], abs=1e-5)
        assert sum(map(math.exp, place.logprobs)) <= 1 + 1e-5
    assert [place.start for place in places] == sorted(place.start for place in places)


def test_probabilities_are_those_of_the_model_whatever_the_temperature_and_the_bias(engine: Any) -> None:
    prompt = engine.tokens("Hello")
    samplings = [Sampling(seed=1), Sampling(seed=1, temperature=0.1), Sampling(seed=1, logit_bias=((70, 100.0),))]
    firsts = []
    for sampling in samplings:
        collector, _ = engine.submit(Generation(prompt, 1, sampling, logprobs=20))
        firsts.append(chances_of(collector)[0])
    assert len({tuple(first.likeliest) for first in firsts}) == 1
    assert len({tuple(first.logprobs) for first in firsts}) == 1
    assert firsts[2].token == 70
    assert firsts[2].logprob < 0


def test_they_change_no_answer_and_come_only_where_asked_for(engine: Any) -> None:
    prompt = engine.tokens("Hello")
    asked, plain = engine.submit_together(
        [Generation(prompt, 30, Sampling(seed=5), logprobs=3), Generation(prompt, 30, Sampling(seed=5))]
    )
    assert len(chances_of(asked)) == 30
    assert not chances_of(plain)
    assert asked.text == plain.text


def test_a_stop_string_takes_the_tokens_with_it_that_begin_in_it(wordy: Path, bench: Callable[..., Any]) -> None:
    engine = bench(wordy)
    prompt = engine.tokens("<|user|>Hi<|end|><|assistant|>")
    collector, _ = engine.submit(Generation(prompt, 100, Sampling(seed=1), stop=("one:",), logprobs=0))
    places = chances_of(collector)
    assert collector.text == "Wordy "
    tokenizer = engine.engine.model.tokenizer
    assert all(place.start < len(collector.text) for place in places)
    assert b"".join(tokenizer.piece(place.token) for place in places).decode().startswith("Wordy")


def test_a_bias_forbids_a_token_or_brings_it_about(engine: Any) -> None:
    prompt = engine.tokens("Hello")
    plain = chances_of(engine.submit(Generation(prompt, 1, GREEDY, logprobs=1))[0])[0].token
    forbidden = Sampling(temperature=0, logit_bias=((plain, -100.0),))
    assert chances_of(engine.submit(Generation(prompt, 1, forbidden, logprobs=1))[0])[0].token != plain
    wanted = Sampling(seed=1, logit_bias=((99, 100.0), (plain, -100.0)))
    assert [place.token for place in chances_of(engine.submit(Generation(prompt, 5, wanted, logprobs=0))[0])] == [
        99
    ] * 5


def test_a_schema_leaves_the_probabilities_as_the_model_had_them(engine: Any) -> None:
    constraint = engine.engine.model.grammars.json_schema({"const": "zone"})
    collector, _ = engine.submit(
        Generation(engine.tokens("Hello"), 100, Sampling(seed=1), constraint=constraint, logprobs=4)
    )
    free = chances_of(engine.submit(Generation(engine.tokens("Hello"), 1, GREEDY, logprobs=4))[0])[0]
    first = chances_of(collector)[0]
    assert collector.text == '"zone"'
    assert (first.likeliest, first.logprobs) == (free.likeliest, free.logprobs)


@pytest.mark.parametrize("logits", [[math.nan] * 4, [-math.inf] * 4, [1e38, -1e38, 0, 0], [math.inf, 0, 0, 0]])
def test_logits_that_are_no_numbers_make_probabilities_that_json_can_write(logits: list[float]) -> None:
    with np.errstate(all="ignore"):
        place = Likeliest(np.array(logits, np.float32), 20).with_token(3, logits[3])
    assert place.likeliest == array("i", place.likeliest)
    for logprob in (place.logprob, *place.logprobs):
        assert LEAST_LOGPROB <= logprob <= 0
