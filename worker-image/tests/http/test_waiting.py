"""What a request that waits for its turn keeps in memory: its tokens, four bytes each, and nothing of its body."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from asking import ENDLESS, SHORT, open_stream
from starlette.applications import Starlette

from slicewise_worker.chat.prove import start_chat
from slicewise_worker.engine.llama import Context, ContextShape, Model, start_backend
from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Limits
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import Phase, WorkerState
from slicewise_worker.http.answer import deliver_into
from slicewise_worker.http.app import Worker, build_app
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.intake import Intake
from slicewise_worker.http.served import Served
from slicewise_worker.server import intake_limits
from slicewise_worker.settings import WorkerSettings

CONTEXT = 32_000
REQUESTS = 12
KIB = 1 << 10
DEADLINE = 60


@pytest.fixture
async def busy(tiny: Path) -> AsyncIterator[tuple[Starlette, Engine]]:
    """An application whose engine is at something else: requests wait."""
    start_backend()
    model = Model(tiny, gpu=False)
    context = Context(model, ContextShape(tokens=CONTEXT, batch=32, sequences=1, kv_type="f16", threads=1))
    engine = Engine(model, context, Limits(CONTEXT, 1, 16, 64), deliver_into(asyncio.get_running_loop()))
    settings = WorkerSettings(model_name="chat", context_tokens=CONTEXT)
    template = ChatTemplate(start_chat("{{ messages[0].content }}", {}), "chat")
    served = Served("chat", frozenset({"chat"}), engine, template, Intake(intake_limits(settings)))
    state = WorkerState(phase=Phase.SERVING)
    yield build_app(Worker(settings, state, WorkerMetrics(), created=0, served=served)), engine
    await asyncio.to_thread(engine.stop)
    await asyncio.to_thread(template.close)


async def ask(app: Starlette, path: str, parts: list[bytes], leaves: asyncio.Event) -> None:
    """Send `parts`, keep nothing of them, and stay until `leaves` is set."""

    async def receive() -> Any:
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": False}
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(_message: Any) -> None:
        return

    scope = {"type": "http", "method": "POST", "path": path, "headers": [], "query_string": b"", "app": app}
    await app(scope, receive, send)


ASKED = {
    "text": ("/v1/completions", lambda: {"prompt": "zone " * 15_000}),
    "tokens": ("/v1/completions", lambda: {"prompt": list(range(5, 255)) * 120}),
    "conversation": ("/v1/chat/completions", lambda: {"messages": [{"role": "user", "content": "zone " * 15_000}]}),
    "other fields": (
        "/v1/completions",
        lambda: {"prompt": "Hi", "user": "x" * (600 * KIB), "metadata": {"a": "b" * KIB}},
    ),
}


@pytest.mark.parametrize("kind", ASKED)
async def test_what_waits_takes_four_bytes_a_token(busy: tuple[Starlette, Engine], kind: str) -> None:
    app, engine = busy
    path, make = ASKED[kind]
    leaves, asking = asyncio.Event(), []

    async def waiting(count: int) -> int:
        end = time.monotonic() + DEADLINE
        while engine.progress().waiting < count:
            assert time.monotonic() < end
            await asyncio.sleep(0.01)
        return sum(len(ticket.generation.prompt) for ticket in engine._waiting)

    async def one_more() -> int:
        asking.append(asyncio.create_task(ask(app, path, [json.dumps({"model": "chat"} | make()).encode()], leaves)))
        return await waiting(len(asking))

    tracemalloc.start()
    try:
        first = await one_more()  # and what the first one leaves behind for all
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(REQUESTS):
            tokens = await one_more()
        each = (tracemalloc.get_traced_memory()[0] - before) / REQUESTS
    finally:
        tracemalloc.stop()
        leaves.set()
        await asyncio.gather(*asking)
    assert each < 4 * (tokens - first) / REQUESTS + 64 * KIB


def test_the_tokens_that_wait_are_bounded_and_another_worker_may_be_asked(start_worker: Any, tiny: Path) -> None:
    worker = start_worker(tiny, parallel_sequences=1, context_tokens=CONTEXT, prompt_memory_bytes=4000)
    full = ENDLESS | {"prompt": [5] * (CONTEXT - 1), "max_tokens": 1}
    holder = open_stream(worker, ENDLESS | {"stream": True})
    waiting = open_stream(worker, full)
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 1)
    refused = worker.post("/v1/completions", full)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "queue_full")
    assert "tokens" in refused.json()["error"]["message"]
    assert refused.headers["x-slicewise-not-started"] == "1"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    waiting.close()
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 0)
    holder.close()
    assert worker.post("/v1/completions", SHORT).status_code == 200


def test_a_prompt_that_choices_share_counts_once(start_worker: Any, tiny: Path) -> None:
    worker = start_worker(tiny, parallel_sequences=4, context_tokens=8_000, prompt_memory_bytes=0)
    holder = open_stream(worker, ENDLESS | {"prompt": [5] * 4_000, "stream": True})
    shared = SHORT | {"prompt": [5] * 7_999, "n": 4, "max_tokens": 1}
    assert len(worker.post("/v1/completions", shared).json()["choices"]) == 4
    holder.close()
