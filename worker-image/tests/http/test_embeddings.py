"""Embedding models are served as such: their vectors are what numpy computes, and nothing that a client sends harms them."""

from __future__ import annotations

import base64
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import numpy as np
import openai
import pytest
from encoders import CONTEXT, WIDTH, expected, tokens_of, write_bert
from plain_http import NO_TLS
from retell import retell

TEXTS = ["slice", "the moon of cheese", "a worker of the zone , a pool .", "pool " * 300]


def vectors(worker, given: object, **more: object) -> np.ndarray:
    answer = worker.post("/v1/embeddings", {"model": "e", "input": given, **more})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["object"], body["model"]) == ("list", "e")
    assert [(entry["object"], entry["index"]) for entry in body["data"]] == [
        ("embedding", index) for index in range(len(body["data"]))
    ]
    return np.array([entry["embedding"] for entry in body["data"]])


def refused(worker, body: dict[str, object], path: str = "/v1/embeddings") -> dict[str, str]:
    answer = worker.post(path, {"model": "e", **body})
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


@pytest.mark.parametrize("pooling", [None, 1, 2, 3])
def test_vectors_are_what_the_network_makes_by_the_models_pooling(
    start_worker, tmp_path: Path, pooling: int | None
) -> None:
    worker = start_worker(write_bert(tmp_path / "m.gguf", pooling), model_name="e", context_tokens=CONTEXT)
    found = vectors(worker, TEXTS)
    for text, vector in zip(TEXTS, found, strict=True):
        assert np.allclose(vector, expected(tokens_of(text), pooling or 1), atol=2e-3), text
    assert np.allclose(np.linalg.norm(found, axis=1), 1)


def test_a_model_with_less_context_than_the_default_needs_no_setting(start_worker, tmp_path: Path) -> None:
    worker = start_worker(write_bert(tmp_path / "m.gguf", 1), model_name="e", context_tokens="")
    assert worker.get("/v1/models").json()["data"][0]["max_model_len"] == CONTEXT < 4096
    assert str(CONTEXT) in refused(worker, {"input": "pool " * (CONTEXT + 1)})["message"]
    assert vectors(worker, "pool " * (CONTEXT - 10)).shape == (1, WIDTH)


def test_a_text_has_the_same_vector_alone_among_others_and_as_tokens(bert) -> None:
    together = vectors(bert, TEXTS * 40)
    assert together.shape == (160, WIDTH)
    for index, text in enumerate(TEXTS):
        assert np.allclose(vectors(bert, text)[0], together[index], atol=2e-3)
        assert np.allclose(vectors(bert, tokens_of(text))[0], together[index + 4], atol=2e-3)
    assert np.allclose(vectors(bert, [tokens_of(text) for text in TEXTS]), together[:4], atol=2e-3)


def test_the_openai_client_gets_vectors_in_either_encoding(bert) -> None:
    with openai.OpenAI(base_url=f"{bert.url}/v1", api_key="unused", max_retries=0) as client:
        # The client asks for base64 by itself and decodes it.
        answer = client.embeddings.create(model="e", input=TEXTS)
        plain = client.embeddings.create(model="e", input=TEXTS, encoding_format="float")
        assert np.allclose([one.embedding for one in answer.data], [one.embedding for one in plain.data])
        assert answer.usage.prompt_tokens == answer.usage.total_tokens == sum(len(tokens_of(text)) for text in TEXTS)
        short = client.embeddings.create(model="e", input=TEXTS, dimensions=16)
        cut = np.array([one.embedding for one in plain.data])[:, :16]
        assert np.allclose([one.embedding for one in short.data], cut / np.linalg.norm(cut, axis=1, keepdims=True))


def test_base64_holds_little_endian_numbers(bert) -> None:
    body = {"model": "e", "input": "slice", "encoding_format": "base64", "dimensions": 8}
    coded = bert.post("/v1/embeddings", body).json()["data"][0]["embedding"]
    assert np.allclose(np.frombuffer(base64.b64decode(coded), "<f4"), vectors(bert, "slice", dimensions=8)[0])


def test_a_text_with_the_words_of_control_tokens_is_text(bert) -> None:
    assert not np.allclose(vectors(bert, "slice [SEP] zone"), vectors(bert, [[101, 105, 102, 108, 102]]))
    usage = bert.post("/v1/embeddings", {"model": "e", "input": "[SEP]"}).json()["usage"]
    assert usage["prompt_tokens"] > 3


def test_hostile_inputs_have_an_outcome_and_harm_nobody(bert) -> None:
    assert vectors(bert, [""] * 2048).shape == (2048, WIDTH)
    assert "2048" in refused(bert, {"input": [""] * 2049})["message"]
    assert refused(bert, {"input": [2**40]})["param"] == "input"
    assert "-5 is no token" in refused(bert, {"input": [101, -5]})["message"]
    assert "(0 to " in refused(bert, {"input": [[101], [1_000_000]]})["message"]
    for nothing in ([], [[]], [[], []], None, 7, {}, [True], [1.5], ["a", 1], [["a"]], [None]):
        assert refused(bert, {"input": nothing})["param"].startswith("input"), nothing
    long = refused(bert, {"input": ["slice", "slice " * 511]})
    assert (long["code"], long["param"]) == ("context_length_exceeded", "input[1]")
    assert "513" in long["message"]
    assert "512" in long["message"]
    assert refused(bert, {"input": "x" * 3_000_000})["code"] == "context_length_exceeded"
    assert "300000" in refused(bert, {"input": ["slice " * 500] * 700})["message"]
    assert refused(bert, {"input": "a", "dimensions": 0})["param"] == "dimensions"
    assert "64 numbers" in refused(bert, {"input": "a", "dimensions": 65})["message"]
    assert refused(bert, {"input": "a", "encoding_format": "hex"})["param"] == "encoding_format"
    assert refused(bert, {"input": "a", "stream": True})["code"] == "unknown_parameter"
    assert bert.get("/readyz").status_code == 200


def test_an_embedding_model_refuses_what_it_cannot_do_and_says_what_it_can(bert) -> None:
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/completions", {"prompt": "Hi"}),
        ("/v1/rerank", {"query": "a", "documents": ["b"]}),
    ):
        error = refused(bert, body, path)
        assert error["code"] == "task_not_supported"
        assert "serves embeddings only: use /v1/embeddings" in error["message"]
    model = bert.get("/v1/models").json()["data"][0]
    assert (model["capabilities"], model["max_model_len"]) == (["embeddings"], CONTEXT)
    assert bert.post("/v1/embeddings", {"model": "other", "input": "a"}).status_code == 404


def test_a_model_for_text_says_what_to_ask_for_embeddings(chat_worker) -> None:
    for path, body in (("/v1/embeddings", {"input": "a"}), ("/v1/rerank", {"query": "a", "documents": ["b"]})):
        answer = chat_worker.post(path, {"model": "chat", **body})
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "task_not_supported"
        assert "ask a pool of an embedding model" in answer.json()["error"]["message"]
    assert chat_worker.get("/v1/models").json()["data"][0]["capabilities"] == ["chat", "completions"]


def test_metrics_count_requests_and_their_tokens(bert) -> None:
    name = "slicewise_worker_requests_total"
    before = bert.metric(name, finish_reason="stop"), bert.metric("slicewise_worker_prompt_tokens_total")
    vectors(bert, ["slice", "zone"])
    assert bert.metric(name, finish_reason="stop") == before[0] + 1
    assert bert.metric("slicewise_worker_prompt_tokens_total") == before[1] + 6
    assert bert.metric("slicewise_worker_request_duration_seconds_count") == bert.metric(name, finish_reason="stop")


def test_a_generative_model_with_pooling_is_an_embedding_model_too(start_worker, tiny: Path, tmp_path: Path) -> None:
    worker = start_worker(retell(tiny, tmp_path / "m.gguf", llama__pooling_type=3), model_name="e")
    found = vectors(worker, ["What is a slice?", "zone " * 40, "What is a slice?"])
    assert found.shape == (3, 64)
    assert np.allclose(found[0], found[2], atol=1e-3)
    assert not np.allclose(found[0], found[1], atol=1e-1)
    assert "holds no token" in refused(worker, {"input": ""})["message"]


@pytest.fixture
def slow(start_worker, tiny_slow: Path, tmp_path: Path):
    """Each step takes 50 ms, and takes 64 texts at most."""
    model = retell(tiny_slow, tmp_path / "slow.gguf", llama__pooling_type=1)
    return start_worker(model, model_name="e", parallel_sequences=1, max_queue=1, context_tokens=64)


def test_a_deadline_ends_a_batch_with_what_was_done(slow) -> None:
    answer = httpx2.post(
        f"{slow.url}/v1/embeddings",
        json={"model": "e", "input": ["zone " * 40] * 500},
        headers={"x-slicewise-timeout-ms": "1000"},
        timeout=60,
        verify=NO_TLS,
    )
    assert answer.status_code == 504, answer.text
    assert "of 500 inputs" in answer.json()["error"]["message"]
    assert vectors(slow, "zone").shape == (1, 64)


def test_a_full_queue_is_said_and_a_client_that_leaves_frees_its_place(slow) -> None:
    body = (
        b'{"model":"e","input":[' + b",".join([b'"zone zone zone zone zone zone zone zone zone zone"'] * 2000) + b"]}"
    )
    head = b"POST /v1/embeddings HTTP/1.1\r\nHost: w\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    host, port = slow.url.removeprefix("http://").split(":")
    clients = [socket.create_connection((host, int(port)), timeout=60) for _ in range(2)]
    for client in clients:
        client.sendall(head % len(body) + body)
    slow.until(lambda: slow.metric("slicewise_worker_requests_waiting") == 1)
    full = slow.post("/v1/embeddings", {"model": "e", "input": "a"})
    assert full.status_code == 503, full.text
    assert full.json()["error"]["code"] == "queue_full"
    assert full.headers["x-slicewise-not-started"] == "1"
    assert int(full.headers["Retry-After"]) >= 1
    for client in clients:
        client.close()
    slow.until(lambda: slow.metric("slicewise_worker_requests_total", finish_reason="cancelled") == 2)
    assert vectors(slow, "zone").shape == (1, 64)


def test_a_drain_answers_what_it_has_taken_on(slow) -> None:
    with ThreadPoolExecutor(1) as pool:
        while True:
            asked = pool.submit(vectors, slow, ["zone " * 30] * 30)
            slow.until(lambda asked=asked: asked.done() or slow.metric("slicewise_worker_requests_running") == 1)
            # On a busy machine it may be over before anyone has looked.
            if not asked.done():
                break
        slow.terminate()
        assert asked.result(120).shape == (30, 64)
    assert slow.wait() == 0
