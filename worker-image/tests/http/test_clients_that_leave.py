"""Load and clients that misbehave: a full queue, connections that close, generations that break."""

from __future__ import annotations

import json
import socket
import threading

import httpx2
import pytest
from asking import ENDLESS, SHORT, open_stream
from plain_http import NO_TLS


def running(worker) -> float:
    return worker.metric("slicewise_worker_requests_running")


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_frees_its_sequence(start_worker, tiny, stream: bool) -> None:
    worker = start_worker(tiny, parallel_sequences=1, context_tokens=32_000)
    connection = open_stream(worker, ENDLESS | {"stream": stream})
    worker.until(lambda: running(worker) == 1)
    connection.close()
    worker.until(lambda: running(worker) == 0)
    # The engine counts it just after its place is free.
    worker.until(lambda: worker.metric("slicewise_worker_requests_total", finish_reason="cancelled") == 1)
    generated = worker.metric("slicewise_worker_generated_tokens_total")
    assert worker.post("/v1/completions", SHORT).status_code == 200
    assert worker.metric("slicewise_worker_generated_tokens_total") <= generated + 3


def test_a_client_that_leaves_the_queue_is_forgotten(start_worker, tiny) -> None:
    worker = start_worker(tiny, parallel_sequences=1, context_tokens=32_000)
    holder = open_stream(worker, ENDLESS | {"stream": True})
    waiting = open_stream(worker, ENDLESS)
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 1)
    waiting.close()
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 0)
    assert running(worker) == 1
    holder.close()


def test_a_hundred_clients_that_leave_at_every_stage_leave_nothing_behind(start_worker, tiny) -> None:
    worker = start_worker(tiny, parallel_sequences=2, context_tokens=16_000, max_queue=200)
    prompts = ["Hello", "zone " * 2000]
    connections = [
        open_stream(worker, ENDLESS | {"prompt": prompts[index % 2], "max_tokens": 10_000}) for index in range(100)
    ]
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") > 50)
    for connection in connections:
        connection.close()
    worker.until(lambda: running(worker) + worker.metric("slicewise_worker_requests_waiting") == 0)
    assert worker.post("/v1/completions", SHORT).status_code == 200
    assert worker.metric("slicewise_worker_kv_cache_usage_ratio") == 0


def test_a_full_queue_is_refused_at_once_with_a_time_to_come_back(start_worker, tiny) -> None:
    worker = start_worker(tiny, parallel_sequences=1, context_tokens=32_000, max_queue=1)
    holders = [open_stream(worker, ENDLESS | {"stream": True}), open_stream(worker, ENDLESS)]
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 1)
    refused = worker.post("/v1/completions", SHORT)
    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "queue_full"
    assert refused.headers["x-slicewise-not-started"] == "1", "the gateway may ask another worker"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert worker.get("/readyz").status_code == 200
    for holder in holders:
        holder.close()


def said(stream: str) -> str:
    """The words of a stream, however they were cut into events."""
    events = [event.removeprefix("data: ") for event in stream.strip().split("\n\n")]
    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    return "".join(delta.get("content") or "" for delta in deltas)


def test_running_streams_go_on_when_others_come(start_worker, wordy) -> None:
    worker = start_worker(wordy, parallel_sequences=4, max_queue=64)
    results: list[tuple[int, str]] = []

    def ask() -> None:
        body = {"model": "chat", "messages": [{"role": "user", "content": "Hi"}], "stream": True}
        with httpx2.stream(
            "POST", f"{worker.url}/v1/chat/completions", json=body, timeout=60, verify=NO_TLS
        ) as response:
            text = response.read().decode()
        results.append((response.status_code, text))

    threads = [threading.Thread(target=ask) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 30
    assert all(status == 200 and text.endswith("data: [DONE]\n\n") for status, text in results)
    assert all(said(text).startswith("Wordy one:") for _, text in results)


def test_a_body_that_never_ends_does_not_hold_up_others(start_worker, wordy) -> None:
    worker = start_worker(wordy)
    host, port = worker.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as slow:
        slow.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: w\r\nContent-Length: 100\r\n\r\n{")
        assert worker.post("/v1/completions", SHORT).status_code == 200
