"""Fields that `/v1/completions` alone has, and the counts in `usage`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from retell import retell

PLAIN: dict[str, Any] = {"model": "chat", "prompt": "Hello zone", "max_tokens": 5, "temperature": 0}


@pytest.fixture
def tiny_infill(tiny: Path, tmp_path: Path) -> Path:
    """As tiny, with three of its control tokens in the part of those around a gap."""
    marks = {"fim_pre": 1, "fim_suf": 2, "fim_mid": 3}
    return retell(
        tiny, tmp_path / "infill.gguf", **{f"tokenizer__ggml__{name}_token_id": token for name, token in marks.items()}
    )


def choices(worker: Any, **change: Any) -> list[dict[str, Any]]:
    response = worker.post("/v1/completions", PLAIN | change)
    assert response.status_code == 200, response.text
    return response.json()["choices"]


def test_an_echo_is_the_prompt_in_front_of_the_answer(chat_worker: Any) -> None:
    plain = choices(chat_worker)[0]["text"]
    assert choices(chat_worker, echo=True, n=2)[1]["text"] == "Hello zone" + plain
    tokens = choices(chat_worker, prompt=[60, 61, 62])[0]["text"]
    echoed = choices(chat_worker, prompt=[60, 61, 62], echo=True)[0]["text"]
    assert echoed.endswith(tokens)
    assert len(echoed) > len(tokens)


def test_a_stream_begins_with_the_echo(chat_worker: Any) -> None:
    stream = chat_worker.post("/v1/completions", PLAIN | {"echo": True, "stream": True}).text
    assert '"text":"Hello zone"' in stream.split("\n\n")[0]


def test_the_best_of_several_answers_is_the_one_that_the_model_held_likeliest(chat_worker: Any) -> None:
    asked = {"temperature": 2, "seed": 3, "max_tokens": 8, "logprobs": 0}

    def mean(choice: dict[str, Any]) -> float:
        logprobs = choice["logprobs"]["token_logprobs"]
        return sum(logprobs) / len(logprobs)

    both = choices(chat_worker, n=2, **asked)
    best = choices(chat_worker, best_of=2, **asked)
    assert [choice["text"] for choice in best] == [max(both, key=mean)["text"]]
    unasked = choices(chat_worker, best_of=2, **(asked | {"logprobs": None}))
    assert [choice["text"] for choice in unasked] == [best[0]["text"]]
    assert unasked[0]["logprobs"] is None


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"best_of": 1, "n": 2}, "best_of", "less than 'n'"),
        ({"best_of": 2, "stream": True}, "best_of", "stream"),
        ({"best_of": 3}, "best_of", "at most 2"),
        ({"echo": True, "logprobs": 1}, "echo", "'logprobs'"),
        ({"echo": True, "suffix": "x"}, "echo", "'suffix'"),
        ({"suffix": "after"}, "suffix", "this model has no tokens"),
        ({"suffix": "after", "prompt": [5]}, "suffix", "in text"),
        ({"logprobs": 21}, "logprobs", "less than or equal to 20"),
        ({"logprobs": True}, "logprobs", "integer"),
    ],
)
def test_what_does_not_go_together_is_refused_by_name(
    chat_worker: Any, change: dict[str, Any], param: str, words: str
) -> None:
    response = chat_worker.post("/v1/completions", PLAIN | change)
    error = response.json()["error"]
    assert (response.status_code, error["param"]) == (400, param)
    assert words in error["message"]


def test_a_model_with_tokens_for_it_answers_before_a_suffix(tiny_infill: Path, start_worker: Any) -> None:
    worker = start_worker(tiny_infill, chat=False)
    written = choices(worker, prompt="<|system|>Hello<|user|>zone<|assistant|>")[0]["text"]
    assert choices(worker, prompt="Hello", suffix="zone")[0]["text"] == written
    assert choices(worker, prompt="Hello")[0]["text"] != written


def test_usage_says_how_many_tokens_of_a_prompt_came_from_the_cache(chat_worker: Any) -> None:
    long = PLAIN | {"prompt": "Which zone has a slice that is free? " * 4}
    for asked, choices_of_it in ((long, 1), (long | {"n": 2}, 2), (long | {"prompt": [long["prompt"]] * 2}, 2)):
        usage = chat_worker.post("/v1/completions", asked).json()["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
        if asked is not long:
            prompts = choices_of_it if isinstance(asked["prompt"], list) else 1
            assert usage["prompt_tokens_details"] == {
                "cached_tokens": prompts * (usage["prompt_tokens"] // prompts - 1)
            }
    assert chat_worker.metric("slicewise_worker_cached_prompt_tokens_total") > 0
    assert chat_worker.metric("slicewise_worker_kv_cache_kept_tokens") > 0
