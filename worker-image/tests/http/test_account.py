"""The line that each request has in a worker's log: what is in it, that it is bounded, and that nothing of the content is."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from asking import ENDLESS, begin, broken_stream, request_lines
from plain_http import NO_TLS

from slicewise_worker.http.tenant import TENANT_HEADER

SECRET = "zyxwv"
TIMES = {"queue_ms", "first_token_ms", "total_ms"}


def ask(worker: Any, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> httpx2.Response:
    return httpx2.post(f"{worker.url}{path}", json=body, headers=headers, timeout=120, verify=NO_TLS)


def exact(line: dict[str, Any]) -> dict[str, Any]:
    """Return the line without what differs from run to run."""
    assert line["logger"] == "slicewise_worker.http.account"
    assert line["level"] == "info"
    assert line["timestamp"].endswith("Z")
    return {key: value for key, value in line.items() if key not in {"logger", "level", "timestamp", "event", *TIMES}}


def test_an_answer_has_a_line_with_its_tokens_and_times(start_worker: Any, tiny: Any) -> None:
    worker = start_worker(tiny, log_format="json", parallel_sequences=2)
    chat = {"model": "chat", "messages": [{"role": "user", "content": SECRET}], "max_tokens": 4}
    headers = {TENANT_HEADER: "acme", "x-request-id": "req-1"}
    whole = ask(worker, "/v1/chat/completions", chat, headers)
    assert whole.status_code == 200, whole.text
    streamed = {"model": "chat", "prompt": [5, 6, 7], "max_tokens": 3, "n": 2, "stream": True}
    assert ask(worker, "/v1/completions", streamed, {"x-request-id": "req-2"}).text.endswith("[DONE]\n\n")
    first, second = request_lines(worker, 2)
    usage = whole.json()["usage"]
    assert exact(first) == {
        "request_id": "req-1",
        "tenant": "acme",
        "route": "/v1/chat/completions",
        "status": 200,
        "model": "chat",
        "prompt_tokens": usage["prompt_tokens"],
        "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        "completion_tokens": 4,
        "finish_reason": "length",
    }
    assert 0 <= first["queue_ms"] <= first["first_token_ms"] <= first["total_ms"]
    assert exact(second) == {
        "request_id": "req-2",
        "tenant": "",
        "route": "/v1/completions",
        "status": 200,
        "model": "chat",
        "prompt_tokens": 3,
        "cached_tokens": 0,
        "completion_tokens": 6,
        "finish_reason": "length",
    }
    assert SECRET not in worker.log()


def test_what_is_refused_breaks_off_or_is_left_says_so(start_worker: Any, tiny_slow: Any) -> None:
    worker = start_worker(tiny_slow, log_format="json", context_tokens=32_000)
    assert (
        ask(worker, "/v1/completions", {"model": SECRET * 99, "prompt": "a"}, {"x-request-id": "id"}).status_code == 404
    )
    assert httpx2.get(f"{worker.url}/v1/completions", timeout=60, verify=NO_TLS).status_code == 405
    broken = ENDLESS | {"prompt": "a"}
    hurried = {"x-slicewise-timeout-ms": "300", TENANT_HEADER: "a" * 253}
    assert ask(worker, "/v1/completions", broken, hurried).status_code == 504
    assert len(request_lines(worker, 3)) == 3
    left = begin(worker, "/v1/completions", ENDLESS | {"stream": True})
    assert left.recv(12) == b"HTTP/1.1 200"
    left.close()
    refused, wrong, late, gone = request_lines(worker, 4)
    assert exact(refused) == {
        "request_id": "id",
        "tenant": "",
        "route": "/v1/completions",
        "status": 404,
        "error_code": "model_not_found",
    }
    assert (wrong["status"], wrong["error_code"]) == (405, "method_not_allowed")
    assert (late["status"], late["error_code"], late["model"]) == (504, "timeout", "chat")
    assert late["total_ms"] >= 300
    assert len(late["tenant"]) == 64
    assert (gone["status"], gone["error_code"]) == (200, "client_gone")
    assert gone["completion_tokens"] >= 1
    assert "finish_reason" not in gone
    assert all(len(json.dumps(line)) < 800 for line in request_lines(worker, 4))
    assert SECRET not in worker.log()


def test_a_stream_that_breaks_has_the_code_of_its_error(start_worker: Any, tiny_slow: Any) -> None:
    worker = start_worker(tiny_slow, log_format="json", context_tokens=32_000, default_answer_seconds=2)
    assert json.loads(broken_stream(worker, ENDLESS)[-1])["error"]["code"] == "timeout"
    worker.until(lambda: request_lines(worker, 1)[-1]["status"] == 200)
    assert request_lines(worker, 1)[-1]["error_code"] == "timeout"


@pytest.mark.parametrize(
    ("kind", "path", "asked"),
    [
        ("bert", "/v1/embeddings", {"model": "e", "input": ["one", "two"]}),
        ("reranker", "/v1/rerank", {"model": "r", "query": "one", "documents": ["two"]}),
    ],
)
def test_vectors_have_a_line_without_an_answers_tokens(
    request: pytest.FixtureRequest, start_worker: Any, kind: str, path: str, asked: dict[str, Any]
) -> None:
    shared = request.getfixturevalue(kind)
    file = next(shared.folder.glob("*.gguf"))
    worker = start_worker(file, log_format="json", model_name=asked["model"], context_tokens=64)
    answer = ask(worker, path, asked, {"x-request-id": "id"})
    assert answer.status_code == 200, answer.text
    (line,) = request_lines(worker, 1)
    assert exact(line) == {
        "request_id": "id",
        "tenant": "",
        "route": path,
        "status": 200,
        "model": asked["model"],
        "prompt_tokens": answer.json()["usage"]["prompt_tokens"],
        "finish_reason": "stop",
    }
    assert "queue_ms" in line


def test_no_line_for_what_is_no_work_and_none_where_it_is_turned_off(start_worker: Any, tiny: Any) -> None:
    prompt = {"model": "chat", "prompt": [5], "max_tokens": 1}
    worker = start_worker(tiny, log_format="json")
    for path in ("/readyz", "/v1/worker", "/v1/models", "/metrics", "/nothing"):
        worker.get(path)
    assert ask(worker, "/v1/completions", prompt).status_code == 200
    assert len(request_lines(worker, 1)) == 1
    silent = start_worker(tiny, log_format="json", request_log=False)
    assert ask(silent, "/v1/completions", prompt).status_code == 200
    silent.terminate()
    assert silent.wait() == 0
    assert '"event": "request"' not in silent.log()
