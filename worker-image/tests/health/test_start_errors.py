"""A worker that cannot serve ends with one readable line, and leaves the reason for the operator."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
from retell import TEMPLATE, retell, small


def ended(worker) -> dict[str, str]:
    """Return the verdict of a worker that must have ended by itself."""
    assert worker.wait() == 1
    verdict = worker.verdict()
    facts = {"memory", "on_gpu"} if verdict["reason"] == "ModelTooLarge" else set()
    assert {*verdict} == {"message", "reason"} | facts
    lines = [line for line in worker.log().splitlines() if "worker cannot serve" in line and verdict["reason"] in line]
    assert len(lines) == 1, worker.log()
    assert "Traceback" not in worker.log()
    return verdict


def test_no_result_of_the_fetch(start_worker, tiny, tmp_path: Path) -> None:
    verdict = ended(start_worker(tiny, ready=False, weights_file=tmp_path / "nothing.json"))
    assert verdict["reason"] == "WeightsMissing"
    assert "did the init container run" in verdict["message"]


def test_a_flipped_bit(start_worker, tiny, tmp_path: Path, weights_file) -> None:
    damaged = tmp_path / "model.gguf"
    data = bytearray(tiny.read_bytes())
    data[-100] ^= 4
    damaged.write_bytes(data)
    good = json.loads(weights_file(tiny).read_text())
    verdict = ended(start_worker(tiny, ready=False, weights_file=weights_file(damaged, good["digest"])))
    assert verdict["reason"] == "DigestMismatch"
    assert good["digest"] in verdict["message"]


@pytest.mark.parametrize("cut", [100, 100_000])
def test_a_file_that_is_corrupt_though_its_digest_is_right(
    start_worker, tiny, tmp_path, weights_file, cut: int
) -> None:
    corrupt = tmp_path / "model.gguf"
    corrupt.write_bytes(tiny.read_bytes()[:cut])
    verdict = ended(start_worker(tiny, ready=False, weights_file=weights_file(corrupt)))
    assert verdict["reason"] == "ModelCorrupt"
    assert str(corrupt) in verdict["message"]


def test_a_context_longer_than_the_model_was_trained_for(start_worker, tiny) -> None:
    verdict = ended(start_worker(tiny, ready=False, context_tokens=40_000))
    assert verdict["reason"] == "ContextTooLong"
    assert "set contextTokens to 32768 or less" in verdict["message"]


def test_the_default_context_is_lowered_to_what_the_model_was_trained_for(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", llama__context_length=300)
    worker = start_worker(model, context_tokens="", prompt_chunk_tokens=2048)
    assert worker.get("/v1/models").json()["data"][0]["max_model_len"] == 300
    ask = {"model": "chat", "prompt": list(range(20, 260)), "max_tokens": 5}
    assert worker.post("/v1/completions", ask).status_code == 200
    refused = worker.post("/v1/completions", ask | {"prompt": [20] * 300})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
    verdict = ended(start_worker(model, ready=False, context_tokens=301))
    assert "contextTokens is 301, and the model was trained for 300" in verdict["message"]


def test_a_model_that_was_trained_for_no_context(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", llama__context_length=0)
    verdict = ended(start_worker(model, ready=False))
    assert verdict["reason"] == "ModelUnusable"
    assert "trained for a context of 0 tokens" in verdict["message"]


def test_a_file_of_another_kind_is_refused_before_it_is_loaded(start_worker, tiny, tmp_path: Path) -> None:
    verdict = ended(start_worker(small(tmp_path / "clip.gguf", "clip"), ready=False))
    assert verdict["reason"] == "ModelUnsupported"
    assert "a projector" in verdict["message"]


def test_an_embedding_model_needs_room_for_its_longest_text_in_one_step(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", llama__pooling_type=1)
    verdict = ended(start_worker(model, ready=False, context_tokens=512, micro_batch_tokens=256))
    assert verdict["reason"] == "MicroBatchTooSmall"
    assert "microBatchTokens is 256" in verdict["message"]
    assert "leave microBatchTokens out, set it to 512 or more, or lower contextTokens to 256" in verdict["message"]


def test_a_cache_that_does_not_fit_is_blamed(start_worker, tiny) -> None:
    before = "import slicewise_worker.startup as startup; startup.memory_limit = lambda: 300 << 20"
    sizes = {"context_tokens": 32768, "parallel_sequences": 64}
    verdict = ended(start_worker(tiny, ready=False, before=before, **sizes))
    assert verdict["reason"] == "ModelTooLarge"
    assert "The largest part is the context of parallelSequences 64 x contextTokens 32768: KV" in verdict["message"]
    assert "lower contextTokens or parallelSequences, " in verdict["message"]
    # What the operator reads beside the words.
    memory = verdict["memory"]
    assert memory["total"] > memory["room"] == 300 << 20
    assert memory["weights"] + memory["kv_cache"] + memory["buffers"] < memory["total"]
    assert verdict["on_gpu"] is False


def test_what_requests_may_take_needs_room_too(start_worker, tiny) -> None:
    before = "import slicewise_worker.startup as startup; startup.memory_limit = lambda: 300 << 20"
    verdict = ended(start_worker(tiny, ready=False, before=before, body_memory_bytes=300 << 20))
    assert verdict["reason"] == "ModelTooLarge"
    assert "The largest part is the worker itself, with what requests may take, " in verdict["message"]
    assert start_worker(tiny, before=before).get("/readyz").status_code == 200


def test_the_memory_that_is_left_says_how_many_answers_may_keep_to_a_form(start_worker, tiny) -> None:
    before = "import slicewise_worker.startup as startup; startup.memory_limit = lambda: {} << 20"
    worker = start_worker(tiny, before=before.format(300), parallel_sequences=64)
    places = worker.get("/v1/worker").json()["constrained_places"]
    assert 1 <= places < 11
    assert worker.metric("slicewise_worker_constrained_places") == places
    assert worker.metric("slicewise_worker_constrained_places_used") == 0
    more = start_worker(tiny, before=before.format(300 + 4 * 24), parallel_sequences=64)
    assert more.get("/v1/worker").json()["constrained_places"] in range(places + 3, places + 6)
    all_of_them = start_worker(tiny, before=before.format(8000), parallel_sequences=64)
    assert all_of_them.get("/v1/worker").json()["constrained_places"] == 64


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{% if %}", "does not compile: line 1"),
        ("{{ messages[0].content.x.y }}", "fails for a single message"),
    ],
)
def test_a_chat_template_that_cannot_render_a_plain_conversation(
    start_worker, tiny, tmp_path: Path, template: str, words: str
) -> None:
    model = retell(tiny, tmp_path / "m.gguf", **{TEMPLATE: template})
    verdict = ended(start_worker(model, ready=False))
    assert verdict["reason"] == "ChatTemplateBroken"
    assert words in verdict["message"]
    assert "or set spec.model.chat: false to serve completions only" in verdict["message"]


def test_a_file_without_a_chat_template(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", without=(TEMPLATE,))
    verdict = ended(start_worker(model, ready=False))
    assert verdict["reason"] == "ChatTemplateMissing"
    assert "write one in spec.model.chatTemplate" in verdict["message"]
    assert "spec.model.chat: false" in verdict["message"]
    given = start_worker(model, chat_template="{% for m in messages %}{{ m.content }}{% endfor %}")
    ask = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2}
    assert given.post("/v1/chat/completions", ask).status_code == 200


def test_a_chat_template_of_the_pool_goes_before_those_of_the_file(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", **{f"{TEMPLATE}.tool_use": "the file's {{ messages }} {{ tools }}"})
    refuses = "{% if 'No' in messages[-1].content %}{{ raise_exception('says the pool') }}{% endif %}{{ messages }}{{ tools }}"
    worker = start_worker(model, chat_template=refuses)
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    ask = {"model": "chat", "messages": [{"role": "user", "content": "No"}]}
    for more in ({}, {"tools": [tool]}):
        assert "says the pool" in worker.post("/v1/chat/completions", ask | more).json()["error"]["message"]


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("\n{% if %}", "in spec.model.chatTemplate does not compile: line 2"),
        ("{{ range(99999999) }}", "The sandbox blocks ranges"),
        ("always the same", "makes a prompt without the text"),
    ],
)
def test_a_chat_template_of_the_pool_that_does_not_work(start_worker, tiny, template: str, words: str) -> None:
    verdict = ended(start_worker(tiny, ready=False, chat_template=template))
    assert verdict["reason"] == "ChatTemplateBroken"
    assert words in verdict["message"]
    assert verdict["message"].endswith("; correct it, or leave it out to take the model file's")


def test_a_chat_template_for_a_model_that_answers_no_chats(start_worker, tiny, tmp_path: Path) -> None:
    model = retell(tiny, tmp_path / "m.gguf", llama__pooling_type=1)
    verdict = ended(start_worker(model, ready=False, chat_template="{{ messages }}"))
    assert verdict["reason"] == "ModelUnsupported"
    assert "spec.model.chatTemplate is given" in verdict["message"]


@pytest.mark.parametrize("template", [None, "{% if %}"])
def test_a_model_for_completions_only_needs_no_chat_template(
    start_worker, tiny, tmp_path: Path, template: str | None
) -> None:
    says = {TEMPLATE: template} if template else {}
    model = retell(tiny, tmp_path / "m.gguf", without=() if template else (TEMPLATE,), **says)
    worker = start_worker(model, chat="false")
    assert worker.post("/v1/completions", {"model": "chat", "prompt": "Hi", "max_tokens": 2}).status_code == 200
    refused = worker.post("/v1/chat/completions", {"model": "chat", "messages": [{"role": "user", "content": "Hi"}]})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "chat_not_supported"


def test_settings_that_are_wrong(start_worker, tiny) -> None:
    verdict = ended(start_worker(tiny, ready=False, kv_cache_type="f8", context_tokens="many"))
    assert verdict["reason"] == "BadSettings"
    assert "SLICEWISE_WORKER_KV_CACHE_TYPE" in verdict["message"]
    assert "SLICEWISE_WORKER_CONTEXT_TOKENS" in verdict["message"]


def test_a_port_that_is_taken(start_worker, tiny) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        verdict = ended(start_worker(tiny, ready=False, port=taken.getsockname()[1]))
    assert verdict["reason"] == "PortUnusable"


def test_a_cpu_does_not_stand_in_for_a_gpu_in_silence(start_worker, tiny) -> None:
    verdict = ended(start_worker(tiny, ready=False, device="gpu"))
    assert verdict["reason"] == "DeviceMissing"
    assert "would compute: llama.cpp" in verdict["message"]
    assert "the chart's value worker.allowCPU" in verdict["message"]
