"""A generation that breaks is told to its client, before or after the answer has begun."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx2
import pytest
from plain_http import NO_TLS
from starlette.applications import Starlette

from slicewise_worker.engine.batch import Batch
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

BODY = {"model": "chat", "prompt": "Hello", "max_tokens": 50, "temperature": 0}


class Breaking(Context):
    """A real context whose steps fail once `good_steps` are done."""

    good_steps = 0

    def decode(self, batch: Batch) -> int:
        if self.good_steps == 0:
            return -3
        self.good_steps -= 1
        return super().decode(batch)


@pytest.fixture
async def broken_app(tiny: Path) -> AsyncIterator[Callable[[int], Starlette]]:
    start_backend()
    engines: list[Engine] = []

    def build(good_steps: int) -> Starlette:
        model = Model(tiny, gpu=False)
        context = Breaking(model, ContextShape(tokens=512, batch=32, sequences=1, kv_type="f16", threads=1))
        context.good_steps = good_steps
        limits = Limits(512, sequences=1, prompt_chunk_tokens=16, max_queue=4)
        engine = Engine(model, context, limits, deliver_into(asyncio.get_running_loop()))
        engines.append(engine)
        engine.start()
        settings = WorkerSettings(model_name="chat")
        intake = Intake(intake_limits(settings))
        served = Served("chat", frozenset({"chat"}), engine, ChatTemplate(None, "chat"), intake)
        state = WorkerState(phase=Phase.SERVING)
        return build_app(Worker(settings, state, WorkerMetrics(), created=0, served=served))

    yield build
    for engine in engines:
        await asyncio.to_thread(engine.stop)


async def post(app: Starlette, body: dict[str, object]) -> httpx2.Response:
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, verify=NO_TLS, base_url="http://worker", timeout=60) as client:
        return await client.post("/v1/completions", json=body)


async def test_a_stream_ends_with_an_error_event_and_without_done(broken_app) -> None:
    response = await post(broken_app(10), BODY | {"stream": True})
    events = [line.removeprefix("data: ") for line in response.text.strip().split("\n\n")]
    assert response.status_code == 200
    assert "".join(json.loads(event)["choices"][0]["text"] for event in events[:-1]), "what came before it is sent"
    last = json.loads(events[-1])
    assert last["error"]["code"] == "engine_failed"
    assert last["error"]["type"] == "server_error"
    assert "broke off" in last["error"]["message"]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_break_before_the_first_token_is_an_ordinary_status(broken_app, stream: bool) -> None:
    response = await post(broken_app(0), BODY | {"stream": stream})
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "engine_failed"


async def test_a_whole_answer_that_breaks_is_no_answer(broken_app) -> None:
    response = await post(broken_app(10), BODY)
    assert response.status_code == 500
    assert "choices" not in response.json()


async def test_a_worker_whose_engine_failed_is_neither_alive_nor_ready(broken_app) -> None:
    app = broken_app(0)
    await post(app, BODY)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, verify=NO_TLS, base_url="http://worker") as client:
        for path in ("/livez", "/readyz"):
            response = await client.get(path)
            assert response.status_code == 503
            assert "engine failed" in response.json()["message"]
        refused = await client.post("/v1/completions", json=BODY)
        assert refused.status_code == 503
