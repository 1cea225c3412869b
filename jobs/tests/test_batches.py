"""Files and batches through OpenAI's client: a real API and dispatcher on a real MariaDB, before a gateway of the test's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aiohttp
import openai
import pytest
from aiohttp import web
from jobs_rig.client import Client, until
from jobs_rig.gateway import FakeGateway, failed, later
from jobs_rig.openai_client import content_of, ended, line, lines, read_lines, send
from jobs_rig.programs import Api, DispatcherProgram, ready
from jobs_rig.store import let_batches_expire
from openai import AsyncOpenAI

from slicewise_jobs.decisions.priority import LOW
from slicewise_jobs.store.database import Database

StartApi = Callable[..., Api]
Start = Callable[..., DispatcherProgram]
ClientOf = Callable[..., AsyncOpenAI]


async def test_a_batch_is_run_line_by_line_and_its_output_fetched(
    shared_api: Api, start_dispatcher: Start, gateway: FakeGateway, database: Database, openai_of: ClientOf
) -> None:
    client = openai_of(shared_api)
    await ready(start_dispatcher(shared_api))

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        if body["messages"][0]["content"] == "bad":
            return failed(400, "not so")
        return await gateway.echo(request, body)

    gateway.answer = answer
    batch = await send(client, b"\n" + lines(["one", "two", "bad"]) + line("last"), metadata={"for": "a test"})
    assert (batch.status, batch.metadata, batch.completion_window) == ("validating", {"for": "a test"}, "24h")
    batch = await ended(client, batch.id)
    assert batch.status == "completed"
    assert batch.request_counts is not None
    counts = batch.request_counts
    assert (counts.total, counts.completed, counts.failed) == (4, 3, 1)
    output = read_lines(await content_of(client, batch.output_file_id))
    assert set(output) == {"one", "two", "last"}
    response = output["one"]["response"]
    assert response["status_code"] == 200
    assert response["body"]["choices"][0]["message"]["content"] == "answer to one"
    (error,) = read_lines(await content_of(client, batch.error_file_id)).values()
    assert (error["custom_id"], error["error"]["code"]) == ("bad", "job_failed")
    assert "not so" in error["error"]["message"]
    # The jobs of the lines are gone with their answers, and every request was one of the tenant's, below what people wait for.
    assert await tables(database) == (0, 0, 0, 0)
    assert {(headers["x-slicewise-tenant"], headers["x-slicewise-priority"]) for headers in gateway.headers} == {
        ("acme", "batch")
    }
    shown = [each.id async for each in client.batches.list(limit=1)]
    assert shown == [batch.id]


async def tables(database: Database) -> tuple[int, ...]:
    names = ("slicewise_jobs", "slicewise_job_inputs", "slicewise_job_results", "slicewise_batch_lines")
    return tuple([(await database.read(f"SELECT COUNT(*) FROM {name}"))[0][0] for name in names])


async def test_every_line_that_is_wrong_is_named_and_none_is_run(
    shared_api: Api, database: Database, openai_of: ClientOf
) -> None:
    client = openai_of(shared_api)
    wrong = [
        line("a"),
        b"{",
        line("a"),
        line("b", method="GET"),
        line("c", url="/v1/completions"),
        line("d", body={}),
        line("e", body={"messages": [{}], "stream": True}),
        line(""),
        b'{"custom_id": "\\u0000"}',
        b"[" * 50_000,
        line("f", more=1),
        b"x" * 80_000,
    ]
    batch = await ended(client, (await send(client, b"\n".join(wrong))).id)
    assert batch.status == "failed"
    assert batch.errors is not None
    assert [(each.line, each.code) for each in batch.errors.data or []] == [
        (2, "invalid_json_line"),
        (3, "duplicate_custom_id"),
        (4, "invalid_method"),
        (5, "invalid_url"),
        (6, "missing_required_parameter"),
        (7, "invalid_value"),
        (8, "invalid_value"),
        (9, "invalid_value"),
        (10, "invalid_json_line"),
        (11, "unknown_parameter"),
        (12, "line_too_large"),
    ]
    assert await tables(database) == (0, 0, 0, 0)
    batch = await ended(client, (await send(client, b"\n\n")).id)
    assert [each.code for each in batch.errors.data or []] == ["empty_file"]


async def test_more_lines_than_are_allowed_fail_a_batch(start_api: StartApi, openai_of: ClientOf) -> None:
    client = openai_of(start_api(MAX_BATCH_LINES=3, MAX_BATCHES=1))
    batch = await ended(client, (await send(client, lines(map(str, range(4))))).id)
    assert [each.code for each in batch.errors.data or []] == ["too_many_requests"]
    file = await client.files.create(file=("input.jsonl", lines("123")), purpose="batch")
    await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    with pytest.raises(openai.RateLimitError) as refused:
        await client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    assert refused.value.code == "too_many_batches"
    # What a batch reads is not deleted under it.
    with pytest.raises(openai.ConflictError):
        await client.files.delete(file.id)


async def test_a_cancelled_batch_ends_its_requests_and_keeps_what_was_answered(
    start_api: StartApi, start_dispatcher: Start, gateway: FakeGateway, openai_of: ClientOf
) -> None:
    api = start_api(BATCH_WINDOW=4)
    client = openai_of(api)
    await ready(start_dispatcher(api, SLOTS=1))

    async def answer(request: web.Request, body: dict) -> web.StreamResponse:
        if body["messages"][0]["content"] != "0":
            await asyncio.sleep(60)
        return await gateway.echo(request, body)

    gateway.answer = answer
    batch = await send(client, lines(map(str, range(10))))
    await until(lambda: gateway.asked.total() == 2)
    batch = await client.batches.cancel(batch.id)
    assert batch.status in {"cancelling", "cancelled"}
    batch = await ended(client, batch.id)
    assert (batch.status, batch.cancelled_at is not None) == ("cancelled", True)
    assert set(read_lines(await content_of(client, batch.output_file_id))) == {"0"}
    errors = read_lines(await content_of(client, batch.error_file_id))
    assert set(errors) == set(map(str, range(1, 10)))
    assert {each["error"]["code"] for each in errors.values()} == {"batch_cancelled"}
    await until(lambda: gateway.left)
    assert gateway.asked.total() == 2
    # Once more says the same; one that has ended otherwise says so.
    assert (await client.batches.cancel(batch.id)).status == "cancelled"


async def test_a_batch_whose_window_ends_says_so_of_each_line(
    start_api: StartApi, start_dispatcher: Start, gateway: FakeGateway, database: Database, openai_of: ClientOf
) -> None:
    api = start_api(BATCH_WINDOW=2)
    client = openai_of(api)
    await ready(start_dispatcher(api, SLOTS=2))
    gateway.answer = later(60, gateway.echo)
    batch = await send(client, lines(map(str, range(1200))))
    await until(lambda: gateway.now == 2)
    # Below what the tenant sends singly.
    assert {row[0] for row in await database.read("SELECT priority FROM slicewise_jobs")} == {LOW}
    await let_batches_expire(database)
    batch = await ended(client, batch.id)
    assert (batch.status, batch.output_file_id) == ("expired", None)
    errors = read_lines(await content_of(client, batch.error_file_id))
    assert set(errors) == set(map(str, range(1200)))
    assert {each["error"]["code"] for each in errors.values()} == {"batch_expired"}
    with pytest.raises(openai.ConflictError):
        await client.batches.cancel(batch.id)


async def test_files_and_batches_of_another_tenant_are_not_there(
    shared_api: Api, database: Database, openai_of: ClientOf
) -> None:
    mine, other = openai_of(shared_api, "acme"), openai_of(shared_api, "other")
    batch = await ended(mine, (await send(mine, b"{")).id)
    file = batch.input_file_id
    for call in (
        other.files.retrieve(file),
        other.files.content(file),
        other.files.delete(file),
        other.batches.retrieve(batch.id),
        other.batches.cancel(batch.id),
        other.batches.create(input_file_id=file, endpoint="/v1/chat/completions", completion_window="24h"),
    ):
        with pytest.raises(openai.NotFoundError):
            await call
    assert [each async for each in other.files.list()] == []
    assert [each async for each in other.batches.list()] == []
    assert [each.id async for each in mine.files.list(limit=1)] == [file]
    assert (await mine.files.delete(file)).deleted
    with pytest.raises(openai.NotFoundError):
        await mine.files.retrieve(file)


async def test_a_file_of_many_chunks_comes_back_as_it_was_sent(
    shared_api: Api, database: Database, session: aiohttp.ClientSession, openai_of: ClientOf
) -> None:
    client = openai_of(shared_api)
    sent = bytes(range(256)) * (9 << 10)
    file = await client.files.create(
        file=("../a\u00e9.bin", sent), purpose="batch", expires_after={"anchor": "created_at", "seconds": 3600}
    )
    assert (file.bytes, file.filename, file.status) == (len(sent), "a\u00e9.bin", "processed")
    assert (file.expires_at or 0) - file.created_at == 3600
    assert await content_of(client, file.id) == sent
    assert [row.bytes for row in await database.read("SELECT LENGTH(body) AS bytes FROM slicewise_file_chunks")] == [
        512 << 10,
        512 << 10,
        512 << 10,
        512 << 10,
        len(sent) - 4 * (512 << 10),
    ]
    status, _, _ = await Client(shared_api.url, session, "acme").call("GET", f"/v1/files/{file.id}")
    assert status == 200


async def test_what_is_too_large_or_no_form_is_refused_and_leaves_nothing(
    start_api: StartApi, session: aiohttp.ClientSession, database: Database, openai_of: ClientOf
) -> None:
    api = start_api(MAX_FILE_BYTES=1 << 20, MAX_FILES_BYTES=(5 << 20) // 2)
    client = openai_of(api)
    with pytest.raises(openai.APIStatusError) as refused:
        await client.files.create(file=("a", b"x" * ((1 << 20) + 1)), purpose="batch")
    assert (refused.value.status_code, refused.value.code) == (413, "file_too_large")
    with pytest.raises(openai.BadRequestError):
        await client.files.create(file=("a", b"x"), purpose="vision")
    for _ in range(2):
        await client.files.create(file=("a", b"x" * (1 << 20)), purpose="batch")
    with pytest.raises(openai.RateLimitError) as full:
        await client.files.create(file=("a", b"x" * (1 << 20)), purpose="batch")
    assert full.value.code == "files_full"
    multipart = {"Content-Type": "multipart/form-data; boundary=b", "x-slicewise-tenant": "other"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
    for body, status in (
        (b"", 400),
        (b"--b--\r\n", 400),
        (b"no form", 400),
        (head + b"\r\nx\r\n--b--\r\n", 400),
        (head + b"\r\nx", 400),
        (head + b"Content-Transfer-Encoding: base64\r\n\r\nx\r\n--b--\r\n", 400),
        (head + b"Content-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n", 400),
        (b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\n' + b"x" * 2000 + b"\r\n--b--\r\n", 413),
    ):
        async with session.post(f"{api.url}/v1/files", data=body, headers=multipart) as answer:
            shown = await answer.json()
            assert (answer.status, set(shown["error"])) == (status, {"message", "type", "param", "code"}), (body, shown)
    async with session.post(f"{api.url}/v1/files", data=b"{}", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 415
    async with session.post(f"{api.url}/v1/files", data=b"x", headers={"Content-Encoding": "gzip"}) as answer:
        assert answer.status == 415
    states = await database.read("SELECT state FROM slicewise_files WHERE state <> 'deleted'")
    assert [row[0] for row in states] == ["ready", "ready"]
