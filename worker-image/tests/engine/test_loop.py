"""The engine on real llama.cpp: sequences do not disturb one another, and each ends as it was asked to."""

from __future__ import annotations

from math import inf
from pathlib import Path

import pytest

from slicewise_worker.engine.batch import Batch
from slicewise_worker.engine.llama import Context
from slicewise_worker.engine.request import Broken, Finished, Generation, QueueFullError, Sampling, StoppedError

GREEDY = Sampling(temperature=0)
ENDLESS = 100_000
QUESTIONS = ["Hello", "What is a slice?", "zone " * 40, "The worker reads the file, and then", "a"]


def test_answers_are_the_same_alone_and_among_others(tiny: Path, bench) -> None:
    engine = bench(tiny)
    generations = [Generation(engine.tokens(text), 40, GREEDY) for text in QUESTIONS]
    alone = []
    for generation in generations:
        collector, _ = engine.submit(generation)
        collector.end()
        alone.append(collector.text)
    together = [engine.submit(generation)[0] for generation in generations]
    for collector in together:
        collector.end()
    assert [collector.text for collector in together] == alone
    assert len(set(alone)) == len(alone)


def test_a_prompt_read_in_chunks_gives_the_same_answer(tiny: Path, bench) -> None:
    answers = []
    for chunk in (1, 7, 400):
        engine = bench(tiny, prompt_chunk_tokens=chunk)
        collector, _ = engine.submit(Generation(engine.tokens("zone and slice " * 20), 20, GREEDY))
        collector.end()
        answers.append(collector.text)
    assert len(set(answers)) == 1


@pytest.mark.parametrize("kv_type", ["f16", "q8_0", "q4_0"])
def test_every_type_of_cache_answers(tiny: Path, bench, kv_type: str) -> None:
    engine = bench(tiny, kv_type=kv_type)
    collector, _ = engine.submit(Generation(engine.tokens("Hello"), 8, GREEDY))
    assert collector.end() == Finished("length", "", 8) or collector.end().generated <= 8


def test_the_same_seed_gives_the_same_answer_and_another_seed_another(tiny: Path, bench) -> None:
    engine = bench(tiny)

    def answer(seed: int | None) -> str:
        sampling = Sampling(seed=seed, top_p=0.95, top_k=50, min_p=0.001, presence_penalty=0.5)
        collector, _ = engine.submit(Generation(engine.tokens("Hello"), 20, sampling))
        collector.end()
        return collector.text

    assert answer(1) == answer(1) != answer(2)
    assert answer(None) != answer(None)


@pytest.mark.parametrize("temperature", [1e-45, 1e-40, 1e-38, 1e-6])
def test_a_temperature_next_to_nothing_takes_the_most_likely_token(tiny: Path, bench, temperature: float) -> None:
    engine = bench(tiny)
    answers = []
    for sampling in (GREEDY, Sampling(temperature=temperature, seed=1)):
        collector, _ = engine.submit(Generation(engine.tokens("Hello"), 20, sampling))
        collector.end()
        answers.append(collector.text)
    assert answers[0] == answers[1]


def test_a_penalty_keeps_a_greedy_model_from_repeating_itself(tiny: Path, bench) -> None:
    engine = bench(tiny)
    plain, _ = engine.submit(Generation(engine.tokens("Hello"), 200, GREEDY))
    varied, _ = engine.submit(Generation(engine.tokens("Hello"), 200, Sampling(temperature=0, frequency_penalty=2)))
    plain.end()
    varied.end()
    assert len(set(varied.text.split())) > len(set(plain.text.split()))


def test_the_answer_ends_at_its_token_limit(tiny: Path, bench) -> None:
    engine = bench(tiny)
    collector, _ = engine.submit(Generation(engine.tokens("Hello"), 5, GREEDY))
    end = collector.end()
    assert isinstance(end, Finished)
    assert (end.reason, end.generated) == ("length", 5)


def test_the_answer_ends_where_the_context_is_full(tiny: Path, bench) -> None:
    engine = bench(tiny, context_tokens=64)
    prompt = engine.tokens("Hello zone")
    collector, _ = engine.submit(Generation(prompt, ENDLESS, GREEDY))
    end = collector.end()
    assert isinstance(end, Finished)
    assert (end.reason, end.generated) == ("length", 64 - len(prompt))


def test_the_model_itself_ends_an_answer(wordy: Path, bench) -> None:
    engine = bench(wordy)
    collector, _ = engine.submit(Generation(engine.tokens("<|user|>Hi<|end|><|assistant|>"), ENDLESS, Sampling(seed=1)))
    end = collector.end()
    assert isinstance(end, Finished)
    assert end.reason == "stop"
    assert collector.text.startswith("Wordy one:")


def test_a_stop_string_ends_the_answer_and_does_not_show(wordy: Path, bench) -> None:
    engine = bench(wordy)
    prompt = engine.tokens("<|user|>Hi<|end|><|assistant|>")
    collector, _ = engine.submit(Generation(prompt, ENDLESS, Sampling(seed=1), stop=("one:",)))
    end = collector.end()
    assert isinstance(end, Finished)
    assert (end.reason, collector.text) == ("stop", "Wordy ")


def test_the_two_wordy_models_can_be_told_apart(wordy_v2: Path, bench) -> None:
    engine = bench(wordy_v2)
    collector, _ = engine.submit(Generation(engine.tokens("<|user|>Hi<|end|><|assistant|>"), ENDLESS, Sampling(seed=1)))
    collector.end()
    assert collector.text.startswith("Wordy two:")


def test_more_requests_than_the_queue_holds_are_refused_with_a_time_to_come_back(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=2, max_queue=3, context_tokens=16384)
    long = Generation(engine.tokens("Hello"), ENDLESS, GREEDY)
    tickets = [engine.submit(long)[1] for _ in range(5)]
    with pytest.raises(QueueFullError) as error:
        engine.submit(long)
    assert 1 <= error.value.retry_after <= 60
    engine.engine.cancel(tickets)
    engine.settle(lambda: not engine.engine.progress().busy)
    collector, _ = engine.submit(Generation(engine.tokens("Hello"), 2, GREEDY))
    assert isinstance(collector.end(), Finished)


def test_several_choices_are_queued_all_or_none(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=2, max_queue=1, context_tokens=16384)
    _, ticket = engine.submit(Generation(engine.tokens("Hello"), ENDLESS, GREEDY))
    with pytest.raises(QueueFullError):
        engine.engine.submit([Generation((1,), 1)] * 3, [lambda _event: None] * 3, inf)
    progress = engine.engine.progress()
    assert progress.running + progress.waiting == 1
    engine.engine.cancel([ticket])


def test_a_request_that_is_given_up_frees_its_slot_for_the_next(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=16384)
    first, ticket = engine.submit(Generation(engine.tokens("Hello"), ENDLESS, GREEDY))
    assert first.started.wait(60)
    second, _ = engine.submit(Generation(engine.tokens("Hello"), 3, GREEDY))
    engine.engine.cancel([ticket])
    assert isinstance(second.end(), Finished)
    assert not first.ended.is_set()
    assert engine.engine.progress().cached_tokens == 0


def test_a_request_that_is_given_up_while_it_waits_is_never_begun(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=16384)
    running, ticket = engine.submit(Generation(engine.tokens("Hello"), ENDLESS, GREEDY))
    waiting, given_up = engine.submit(Generation(engine.tokens("Hello"), 3, GREEDY))
    assert running.started.wait(60)
    engine.engine.cancel([given_up])
    engine.settle(lambda: engine.engine.progress().waiting == 0)
    engine.engine.cancel([ticket])
    engine.settle(lambda: not engine.engine.progress().busy)
    assert not waiting.events


def test_an_answer_whose_time_is_over_is_broken_off_running_or_waiting_and_never_given_as_whole(
    tiny: Path, bench
) -> None:
    engine = bench(tiny, sequences=1, context_tokens=30_000)
    for ended in engine.submit_together([Generation(engine.tokens("Hello"), ENDLESS, GREEDY)] * 2, seconds=1):
        end = ended.end()
        assert isinstance(end, Broken)
        assert end.code == "timeout"
        assert "time allowed" in end.message
        assert not any(isinstance(event, Finished) for event in ended.events)


def test_each_request_has_a_deadline_of_its_own(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=30_000)
    long, ticket = engine.submit(Generation(engine.tokens("Hello"), ENDLESS, GREEDY), seconds=600)
    assert long.started.wait(60)
    patient, _ = engine.submit(Generation(engine.tokens("Hello"), 3, GREEDY), seconds=600)
    hasty, _ = engine.submit(Generation(engine.tokens("Hello"), 3, GREEDY), seconds=0.1)
    assert isinstance(hasty.end(), Broken), "though it came last and waits behind others"
    engine.engine.cancel([ticket])
    assert isinstance(patient.end(), Finished)


class Breaking(Context):
    """A context whose steps begin to fail."""

    good_steps = 10
    code = -3

    def decode(self, batch: Batch) -> int:
        self.good_steps -= 1
        return super().decode(batch) if self.good_steps > 0 else self.code


class BreakingOnce(Breaking):
    code = 1

    def decode(self, batch: Batch) -> int:
        result = super().decode(batch)
        if result:
            self.good_steps = 1000
        return result


def test_a_step_that_fails_for_good_ends_everything_and_says_so(tiny: Path, bench) -> None:
    engine = bench(tiny, context_type=Breaking, sequences=1)
    running, waiting = engine.submit_together([Generation(engine.tokens("Hello"), 400, GREEDY)] * 2)
    for collector in (running, waiting):
        end = collector.end()
        assert isinstance(end, Broken)
        assert end.code == "engine_failed"
    engine.settle(lambda: engine.engine.progress().failed is not None)
    with pytest.raises(StoppedError, match="engine failed"):
        engine.submit(Generation((1,), 1))


def test_a_step_that_fails_once_ends_only_what_was_in_it(tiny: Path, bench) -> None:
    engine = bench(tiny, context_type=BreakingOnce, sequences=1)
    running, _ = engine.submit(Generation(engine.tokens("Hello"), 400, GREEDY))
    waiting, _ = engine.submit(Generation(engine.tokens("Hello"), 5, GREEDY))
    assert isinstance(running.end(), Broken)
    assert isinstance(waiting.end(), Finished)
    assert engine.engine.progress().failed is None


def test_stopping_tells_everybody_who_waits(tiny: Path, bench) -> None:
    engine = bench(tiny, sequences=1, context_tokens=16384)
    collectors = [engine.submit(Generation(engine.tokens("Hello"), ENDLESS, GREEDY))[0] for _ in range(3)]
    assert collectors[0].started.wait(60)
    engine.engine.stop()
    assert [type(collector.end()) for collector in collectors] == [Broken] * 3
    with pytest.raises(StoppedError, match="shutting down"):
        engine.submit(Generation((1,), 1))
