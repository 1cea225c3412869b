"""The time of a request: what the gateway says is left, raised and lowered, and what a client is told when it is over."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest
from asking import broken_stream
from plain_http import NO_TLS

from slicewise_worker.http.deadline import Patience, deadline_of
from slicewise_worker.http.errors import ApiError

PATIENCE = Patience(default=90, longest=3600)
ENDLESS = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0}


def ask(worker, body: dict[str, Any], timeout_ms: object = None) -> httpx2.Response:
    headers = {} if timeout_ms is None else {"x-slicewise-timeout-ms": str(timeout_ms)}
    return httpx2.post(f"{worker.url}/v1/completions", json=body, headers=headers, timeout=120, verify=NO_TLS)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 90), ("1", 0.001), ("250", 0.25), (" 0250 ", 0.25), ("285000", 285), ("3600000", 3600), ("9" * 18, 3600)],
)
def test_the_header_raises_and_lowers_the_time_within_the_longest(value: str | None, seconds: float) -> None:
    headers = {} if value is None else {"x-slicewise-timeout-ms": value}
    assert deadline_of(headers, 1000.0, PATIENCE).answer == pytest.approx(1000 + seconds)


@pytest.mark.parametrize("value", ["", "0", "-5", "1.5", "1e3", "soon", "٣", "9" * 5000])
def test_a_header_that_is_no_time_is_refused_by_name(value: str) -> None:
    with pytest.raises(ApiError) as refused:
        deadline_of({"x-slicewise-timeout-ms": value}, 0.0, PATIENCE)
    assert (refused.value.status, refused.value.param) == (400, "x-slicewise-timeout-ms")
    assert len(refused.value.message) < 200


def test_an_answer_whose_time_is_over_is_an_error_and_never_a_short_answer(start_worker, tiny_slow) -> None:
    """Each step of this model takes 50 ms at least, so 30 tokens take longer than a second and 3 may not."""
    worker = start_worker(tiny_slow, default_answer_seconds=1)
    asked = ENDLESS | {"max_tokens": 30}
    over = ask(worker, asked)
    error = over.json()["error"]
    assert (over.status_code, error["code"], error["type"]) == (504, "timeout", "server_error")
    assert "time allowed" in error["message"]
    assert "x-slicewise-not-started" not in over.headers
    assert over.headers["x-slicewise-worker-healthy"] == "1", "the gateway takes no worker out for what a client asked"
    assert worker.metric("slicewise_worker_requests_total", finish_reason="expired") == 1

    events = broken_stream(worker, asked)
    assert "[DONE]" not in events
    assert json.loads(events[-1])["error"]["code"] == "timeout"
    assert all(json.loads(event)["choices"][0]["finish_reason"] is None for event in events[:-1])

    whole = ask(worker, asked, timeout_ms=100_000)
    assert whole.status_code == 200, "a longer time lets the same request end"
    assert whole.json()["choices"][0]["finish_reason"] == "length"
    assert whole.json()["usage"]["completion_tokens"] == 30
    assert ask(worker, asked | {"max_tokens": 3}, timeout_ms=20).status_code == 504, "a shorter one cuts a short answer"


def test_time_in_the_queue_counts(start_worker, tiny_slow) -> None:
    worker = start_worker(tiny_slow, parallel_sequences=1, context_tokens=32_000)
    with httpx2.stream(
        "POST", f"{worker.url}/v1/completions", json=ENDLESS | {"stream": True}, timeout=120, verify=NO_TLS
    ) as holder:
        lines = holder.iter_lines()
        next(lines)
        waited = ask(worker, ENDLESS | {"max_tokens": 1}, timeout_ms=300)
        assert (waited.status_code, waited.json()["error"]["code"]) == (504, "timeout")
        assert "waited for its turn" in waited.json()["error"]["message"]
