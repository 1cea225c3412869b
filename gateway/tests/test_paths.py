"""Which paths there are, in whose shape their errors are, and the ids of requests. On a real Envoy."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from documented import unlike_the_document
from rig.edge import edge_pod
from rig.envoy import CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.envoy import GatewayModel, TenantKeys
from slicewise.envoy.local_replies import _ANTHROPIC_TYPES as OF_ENVOY
from slicewise_gateway.edge.errors import _ANTHROPIC_TYPES as OF_EDGE

ONE = GatewayModel("chat", (route(STABLE),), max_body_bytes=1000)
ACME = "key-of-acme-1"
MESSAGES, COUNT = "/v1/messages", "/v1/messages/count_tokens"
GET_PATHS = ("/v1/models", "/v1/models/chat", "/openapi.json")
PATHS = (CHAT, "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/responses", MESSAGES, COUNT)


def is_anthropic(body: dict[str, Any], kind: str) -> bool:
    assert set(body) == {"type", "error", "request_id"}
    assert set(body["error"]) == {"type", "message"}
    return (body["type"], body["error"]["type"]) == ("error", kind)


async def test_every_path_of_the_api_reaches_a_worker_and_no_other(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for path in PATHS:
            assert (await rig.ask(path))[0] == 200, path
        for path in GET_PATHS:
            async with rig.session.get(rig.url + path) as answer:
                assert (answer.status, answer.headers["x-slicewise-revision"]) == (200, STABLE), path
        for path in (
            "/v1/responses/resp_1",
            "/v1/embeddings/",
            "/v1/files",
            "/v1",
            "/v1/messagesx",
            "/livez",
            "/openapi.jsonx",
        ):
            status, body, _ = await rig.ask(path)
            assert (status, body["error"]["code"]) == (404, "not_found"), path
            assert all(known in body["error"]["message"] for known in (*PATHS, "/v1/models", "/openapi.json"))
        for path in (f"{MESSAGES}/batches", f"{MESSAGES}/", f"{COUNT}/x?a=b"):
            status, body, _ = await rig.ask(path)
            assert (status, is_anthropic(body, "not_found_error")) == (404, True), path
        assert workers[0].requests == len(PATHS) + len(GET_PATHS)


async def test_a_header_with_an_underscore_is_dropped_and_its_request_answered(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        # Codex sends the first two. The last would be another name of a header that the gateway sets.
        given = {"session_id": "0199a213", "conversation_id": "0199a213", "x_slicewise_tenant": "acme"}
        async with rig.session.post(f"{rig.url}/v1/responses", data=b"{}", headers=given) as answer:
            assert answer.status == 200
        assert not [name for name in workers[0].headers if "_" in name]


async def test_errors_on_anthropics_paths_have_anthropics_shape(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(ONE, tenant_keys=TenantKeys("keys"), requests_per_minute=4)
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, acme=ACME) as rig:
        for path in (MESSAGES, COUNT, f"{MESSAGES}?beta=true"):
            status, body, headers = await rig.ask(path)
            assert (status, is_anthropic(body, "authentication_error")) == (401, True), path
            assert unlike_the_document(path.partition("?")[0], status, body, headers) == []
        for path in GET_PATHS:
            async with rig.session.get(rig.url + path) as answer:
                assert (answer.status, (await answer.json())["error"]["code"]) == (401, "invalid_api_key"), path
                assert answer.headers["WWW-Authenticate"] == "Bearer"
        key = {"x-api-key": ACME, "anthropic-version": "2023-06-01"}
        assert (await rig.ask(f"{MESSAGES}?beta=true", **key))[0] == 200
        assert workers[0].headers["anthropic-version"] == "2023-06-01"
        assert (workers[0].headers["x-slicewise-tenant"], workers[0].headers.get("x-api-key")) == ("acme", None)
        status, body, _ = await rig.ask(MESSAGES, b"x" * 1001, **key)
        assert (status, is_anthropic(body, "request_too_large")) == (413, True)
        assert unlike_the_document(MESSAGES, status, body) == []
        workers[0].ready = False
        await rig.healthy(STABLE, 0)
        status, body, headers = await rig.ask(MESSAGES, **key)
        assert (status, is_anthropic(body, "overloaded_error"), headers["Retry-After"]) == (503, True, "1")
        assert body["request_id"] == headers["x-request-id"]
        assert unlike_the_document(MESSAGES, status, body, headers) == []
        status, body, headers = await rig.ask(CHAT, **key)
        assert (body["error"]["code"], unlike_the_document(CHAT, status, body, headers)) == ("no_worker", [])
        # While Envoy noticed that the worker was gone, time has passed, and with it some of the limit.
        while (answer := await rig.ask(MESSAGES, **key))[0] == 503:
            pass
        status, body, headers = answer
        assert (status, is_anthropic(body, "rate_limit_error")) == (429, True)
        assert unlike_the_document(MESSAGES, status, body, headers) == []
        status, body, headers = await rig.ask(CHAT, **key)
        assert (status, unlike_the_document(CHAT, status, body, headers)) == (429, [])


async def test_what_waits_for_a_worker_may_be_of_any_path(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    workers[0].ready = False
    async with edge_pod(tmp_path, ONE, {f"chat-{STABLE}": workers}, HOLD_SECONDS=0.2) as pod:
        answer = await pod.send(b"{}", path=MESSAGES)
        assert (answer.status, is_anthropic(json.loads(answer.body), "overloaded_error")) == (503, True)
        assert unlike_the_document(MESSAGES, 503, json.loads(answer.body), answer.headers) == []
        answer = await pod.send(b"{", path=MESSAGES)
        assert (answer.status, is_anthropic(json.loads(answer.body), "invalid_request_error")) == (400, True)
        workers[0].ready = True

        async def is_answered() -> bool:
            return (await pod.send(b"{}", path=MESSAGES)).status == 200

        await until(is_answered, what="the worker is back")
        for path in PATHS:
            answer = await pod.send(b"{}", path=path)
            assert (answer.status, answer.cache is None) == (200, path not in PATHS[:2]), path


async def test_a_request_keeps_its_id_and_one_without_gets_one(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        for given in ("ticket-7", "0b2f4f1c-7d0e-4a53-9f5e-0a4c3ef7f0aa"):
            for path, status in ((CHAT, 200), ("/nothing", 404)):
                found, _, headers = await rig.ask(path, x_request_id=given)
                assert (found, headers["x-request-id"]) == (status, given)
            assert workers[0].headers["x-request-id"] == given
        first, second = [(await rig.ask())[2]["x-request-id"] for _ in range(2)]
        assert first != second
        assert workers[0].headers["x-request-id"] == second
        await logged(rig, "ticket-7")


async def logged(rig: Rig, request_id: str) -> None:
    async def is_there() -> bool:
        return any(line.get("request_id") == request_id for line in rig.access_log())

    await until(is_there, what="the id is in the access log")


def test_the_edge_has_envoys_types_of_errors() -> None:
    assert OF_EDGE.items() <= OF_ENVOY.items()
