"""Background responses through OpenAI's client, before a gateway that answers as a worker does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import openai
import pytest
from aiohttp import web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, failed
from jobs_rig.programs import Api, DispatcherProgram, ready
from openai import AsyncOpenAI
from openai.types.responses import Response

from slicewise_jobs.store.database import Database

Start = Callable[..., DispatcherProgram]
ClientOf = Callable[..., AsyncOpenAI]


def answered(text: str) -> web.Response:
    """What a worker answers."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}]
    message = {"id": "msg_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
    fields = {"parallel_tool_calls": True, "tool_choice": "auto", "tools": [], "metadata": {"a": "b"}}
    shown = {"id": "resp_worker", "object": "response", "created_at": 1, "status": "completed", "model": "tiny"}
    return web.json_response({**shown, **fields, "output": [message], "store": False})


async def ended(client: AsyncOpenAI, response_id: str) -> Response:
    for _ in range(3000):
        found = await client.responses.retrieve(response_id)
        if found.status not in {"queued", "in_progress"}:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(found)


async def test_a_response_in_the_background_is_queued_run_and_fetched(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, database: Database, openai_of: ClientOf
) -> None:
    client = openai_of(shared_api)
    bodies = []

    async def answer(_request: web.Request, body: dict) -> web.StreamResponse:
        bodies.append(body)
        return answered("forty-two")

    gateway.answer = answer
    sent = await client.responses.create(input="what", background=True, store=True, metadata={"a": "b"}, temperature=0)
    assert (sent.status, sent.background, sent.output, sent.metadata) == ("queued", True, [], {"a": "b"})
    assert (sent.model, sent.temperature) == ("tiny", 0)
    await ready(start_dispatcher(shared_api))
    found = await ended(client, sent.id)
    assert (found.id, found.status, found.output_text, found.background) == (sent.id, "completed", "forty-two", True)
    assert found.created_at == sent.created_at
    assert bodies == [{"input": "what", "metadata": {"a": "b"}, "temperature": 0, "model": "tiny"}]
    assert gateway.paths == ["/v1/responses"]
    # One that has ended is not cancelled any more, and says so by its state.
    assert (await client.responses.cancel(sent.id)).status == "completed"
    other = openai_of(shared_api, "other")
    for call in (other.responses.retrieve(sent.id), other.responses.cancel(sent.id), other.responses.delete(sent.id)):
        with pytest.raises(openai.NotFoundError):
            await call
    await client.responses.delete(sent.id)
    with pytest.raises(openai.NotFoundError):
        await client.responses.retrieve(sent.id)
    assert (await database.read("SELECT COUNT(*) FROM slicewise_job_results"))[0][0] == 0


async def test_a_response_that_fails_or_is_cancelled_or_deleted_says_so_and_runs_no_longer(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, database: Database, openai_of: ClientOf
) -> None:
    client = openai_of(shared_api)

    async def answer(_request: web.Request, body: dict) -> web.StreamResponse:
        if body["input"] == "bad":
            return failed(400, "not so")
        await asyncio.sleep(60)
        return answered("late")

    gateway.answer = answer
    await ready(start_dispatcher(shared_api))
    bad = await ended(client, (await client.responses.create(input="bad", background=True)).id)
    assert bad.error is not None
    assert (bad.status, bad.error.code) == ("failed", "server_error")
    assert "not so" in bad.error.message
    for end in (client.responses.cancel, client.responses.delete):
        gateway.left.clear()
        slow = await client.responses.create(input="slow", background=True)
        await until(lambda: gateway.now == 1)
        assert (await client.responses.retrieve(slow.id)).status == "in_progress"
        if (shown := await end(slow.id)) is not None:
            assert shown.status == "cancelled"
        await until(lambda: gateway.left)


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({"input": "a"}, "invalid_value", "background"),
        ({"background": True}, "missing_required_parameter", "input"),
        ({"background": True, "input": []}, "invalid_value", "input"),
        ({"background": True, "input": "a", "stream": True}, "invalid_value", "stream"),
        ({"background": True, "input": "a", "store": False}, "invalid_value", "store"),
        (
            {"background": True, "input": "a", "previous_response_id": "x"},
            "unsupported_parameter",
            "previous_response_id",
        ),
    ],
)
async def test_what_cannot_be_run_in_the_background_is_refused_by_name(
    shared_api: Api, session: aiohttp.ClientSession, body: dict, code: str, param: str
) -> None:
    status, answer, _ = await Client(shared_api.url, session).call("POST", "/v1/responses", json=body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)
