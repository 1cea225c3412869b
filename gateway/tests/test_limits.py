"""Who may ask, how much and how: keys, rate limits, body limits, forged headers, error bodies. On a real Envoy."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from rig.envoy import CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.envoy import GatewayModel, TenantKeys, TenantShare

ONE = GatewayModel("chat", (route(STABLE),), max_body_bytes=100_000)
KEYED = replace(ONE, tenant_keys=TenantKeys("keys"))
ACME, OTHER = "key-of-acme-1", "key-of-other-1"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


async def test_a_key_becomes_the_tenants_name_and_goes_no_further(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, KEYED, {f"chat-{STABLE}": workers}, acme=ACME) as rig:
        status, _, _ = await rig.ask(**bearer(ACME), **{"x-slicewise-tenant": "root", "X-Slicewise-Other": "1"})
        assert status == 200
        assert workers[0].headers["x-slicewise-tenant"] == "acme"
        assert "authorization" not in workers[0].headers
        assert "x-slicewise-other" not in workers[0].headers
        assert ACME not in str(workers[0].headers)


async def test_without_keys_a_tenant_from_outside_is_dropped(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        forged = {"x-slicewise-tenant": "root", "x-slicewise-timeout-ms": "1", "x-envoy-attempt-count": "7"}
        forged |= {"x-envoy-upstream-rq-timeout-ms": "1", "x-envoy-retry-on": "5xx", "x-envoy-internal": "true"}
        workers[0].mode = "fail"
        assert (await rig.ask(**forged))[0] == 500
        assert workers[0].requests == 1, "no header from outside makes Envoy try again"
        assert workers[0].headers["x-slicewise-timeout-ms"] == "85500"
        assert workers[0].headers["x-envoy-attempt-count"] == "1"
        sent = {name for name in workers[0].headers if name.startswith(("x-slicewise-", "x-envoy-"))}
        assert sent == {"x-slicewise-timeout-ms", "x-envoy-attempt-count", "x-envoy-external-address"}


@pytest.mark.parametrize("headers", [{}, bearer("wrong-key-123"), {"x-slicewise-tenant": "acme"}, bearer("")])
async def test_who_has_no_key_gets_401_and_costs_no_worker_anything(
    tmp_path: Path, start_workers: StartWorkers, headers: dict[str, str]
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, KEYED, {f"chat-{STABLE}": workers}, acme=ACME) as rig:
        status, body, answered = await rig.ask(**headers)
        assert (status, answered["WWW-Authenticate"]) == (401, "Bearer")
        assert body["error"]["code"] == "invalid_api_key"
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert workers[0].requests == 0


async def test_keys_rotate_under_load_without_a_refused_request(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, KEYED, {f"chat-{STABLE}": workers}, acme=ACME, other=OTHER) as rig:
        seen: list[int] = []
        stop = asyncio.Event()

        connections = 0

        async def connected(*_: object) -> None:
            nonlocal connections
            connections += 1

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(connected)

        async def load() -> None:
            async with aiohttp.ClientSession(trace_configs=[trace]) as session:
                while not stop.is_set():
                    async with session.post(rig.url + CHAT, data=b"{}", headers=bearer(OTHER)) as answer:
                        seen.append(answer.status)
                        await answer.read()

        loading = asyncio.create_task(load())

        async def status_of(key: str) -> int:
            return (await rig.ask(**bearer(key)))[0]

        async def switched(old: int, new: int) -> bool:
            return (await status_of(ACME), await status_of("key-of-acme-2")) == (old, new)

        rig.keys["acme"] = f"{ACME}\nkey-of-acme-2\n"
        assert await rig.apply() == ["ecds-keys.json"]
        await until(lambda: switched(200, 200), what="both keys hold")
        rig.keys["acme"] = "key-of-acme-2"
        await rig.apply()
        await until(lambda: switched(401, 200), what="only the new key holds")
        stop.set()
        await loading
        assert set(seen) == {200}
        assert connections == 1, "and no connection is dropped"


async def test_a_tenants_weight_goes_to_workers_whatever_a_client_says_and_changes_without_a_closed_connection(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    heavy = replace(KEYED, shares=(TenantShare("acme", 4), TenantShare("a.b_C-1", 100)))
    keys = {"acme": ACME, "other": OTHER, "a.b_C-1": "key-of-abc-1"}
    async with running(tmp_path, heavy, {f"chat-{STABLE}": workers}, **keys) as rig:

        async def weight_of(key: str, **headers: str) -> str | None:
            assert (await rig.ask(**bearer(key), **headers))[0] == 200
            return workers[0].headers.get("x-slicewise-weight")

        for forged in ({}, {"x-slicewise-weight": "100"}, {"X_Slicewise_Weight": "100"}):
            assert await weight_of(ACME, **forged) == "4"
            assert await weight_of(OTHER, **forged) is None
        assert await weight_of("key-of-abc-1") == "100"
        rig.model = replace(rig.model, shares=(TenantShare("acme", 7), TenantShare("other", 1)))
        assert await rig.apply() == ["ecds-shares.json"], "no listener changes"

        async def changed() -> bool:
            return await weight_of(ACME) == "7" and await weight_of("key-of-abc-1") == await weight_of(OTHER) is None

        await until(changed, what="the new weights hold")


async def test_a_client_can_ask_to_be_behind_others_and_a_batch_tenant_cannot_ask_for_more(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    model = replace(KEYED, shares=(TenantShare("acme", batch=True),))
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, acme=ACME, other=OTHER) as rig:

        async def sent(key: str, **headers: str) -> dict[str, str]:
            assert (await rig.ask(**bearer(key), **headers))[0] == 200
            found = workers[0].headers
            return {name: found[name] for name in found if name.startswith("x-slicewise-p") or "cache" in name}

        for asked in ({}, {"x-slicewise-priority": "interactive"}, {"X-Slicewise-Priority": "batch"}):
            assert await sent(ACME, **asked) == {"x-slicewise-priority": "batch"}
        assert await sent(OTHER) == {}
        assert await sent(OTHER, **{"x-slicewise-priority": "batch"}) == {"x-slicewise-priority": "batch"}
        for other in ("p", "priorit", "prioritx", "priority-", "priority2", "pr", "cach", "cache1", "x", "caxhe"):
            assert await sent(OTHER, **{f"x-slicewise-{other}": "batch"}) == {}


@pytest.mark.parametrize("share", [('a"b', 2), ("", 2), ("a" * 254, 2), ("acme", 0), ("acme", 101)])
def test_a_weight_that_cannot_be_one_is_refused(share: tuple[str, int]) -> None:
    with pytest.raises(ValueError, match=r"not the name|must be between"):
        TenantShare(*share)


async def test_a_key_with_quotes_and_braces_is_a_key_and_nothing_else(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    key = 'k"}],"x":["{{%REQ(A)%}}\\'
    async with running(tmp_path, KEYED, {f"chat-{STABLE}": workers}, acme=key) as rig:
        assert (await rig.ask(**bearer(key)))[0] == 200
        assert (await rig.ask(**bearer("k")))[0] == 401


async def test_a_tenant_over_its_rate_hurts_no_other(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    model = replace(KEYED, requests_per_minute=6, replicas=2)
    async with running(tmp_path, model, {f"chat-{STABLE}": workers}, acme=ACME, other=OTHER) as rig:
        answers = [await rig.ask(**bearer(ACME)) for _ in range(5)]
        assert [status for status, _, _ in answers] == [200, 200, 200, 429, 429]
        _, body, headers = answers[-1]
        assert body["error"]["code"] == "rate_limit_exceeded"
        assert headers["Retry-After"] == "5"
        assert (await rig.ask(**bearer(OTHER)))[0] == 200


async def test_without_keys_everybody_is_one_tenant(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, replace(ONE, requests_per_minute=2), {f"chat-{STABLE}": workers}) as rig:
        assert [(await rig.ask())[0] for _ in range(3)] == [200, 200, 429]


async def test_what_is_too_large_unknown_or_malformed_is_said_in_openai_shape(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        status, body, _ = await rig.ask(body=b"x" * 100_001)
        assert (status, body["error"]["code"]) == (413, "request_too_large")
        assert (await rig.ask(body=b"x" * 100_000))[0] == 200
        for path in ("/metrics", "/v1/worker", "/", "/v1/chat/completions/../../../metrics"):
            status, body, _ = await rig.ask(path)
            assert (status, body["error"]["code"]) == (404, "not_found"), path
        status, body, _ = await rig.ask(long="x" * 40_000)
        assert (status, body["error"]["code"]) == (431, "headers_too_large")
        assert workers[0].requests == 1


async def raw(rig: Rig, request: bytes) -> bytes:
    """Send bytes, return all that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
    writer.write(request)
    answer = await asyncio.wait_for(reader.read(), 60)
    writer.close()
    return answer


async def test_a_client_of_http_1_0_is_answered(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        head, _, body = (await raw(rig, f"POST {CHAT} HTTP/1.0\r\nContent-Length: 2\r\n\r\n{{}}".encode())).partition(
            b"\r\n\r\n"
        )
        assert b" 200 OK" in head.splitlines()[0]
        assert json.loads(body)["bytes"] == 2
        workers[0].mode = "stream"
        workers[0].go.set()
        head, _, body = (
            await raw(rig, f"POST {CHAT} HTTP/1.0\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}".encode())
        ).partition(b"\r\n\r\n")
        assert b"chunked" not in head
        assert body == b"data: first\n\ndata: last\n\n"


AMBIGUOUS = {
    "two lengths": "Content-Length: 2\r\nContent-Length: 3\r\n",
    "length and chunks": "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
    "a coding that is none": "Transfer-Encoding: chunked, identity\r\n",
    "a length that is no number": "Content-Length: +2\r\n",
    "a line that goes on": "X-A: 1\r\n Content-Length: 50\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n",
}


@pytest.mark.parametrize("fields", AMBIGUOUS.values(), ids=AMBIGUOUS)
async def test_a_request_that_two_servers_could_read_differently_is_refused(
    tmp_path: Path, start_workers: StartWorkers, fields: str
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        answer = await raw(
            rig, f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{fields}\r\n{{}}\r\n\r\n".encode()
        )
        assert answer.split()[1] in {b"400", b"501"}, answer
        if b" 400 " in answer:  # 501 is for a coding that Envoy does not know, and comes before all that makes bodies
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"
        assert workers[0].requests == 0


async def test_a_slow_client_holds_no_worker(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        reader, writer = await asyncio.open_connection("127.0.0.1", rig.model.ports.http)
        writer.write(f"POST {CHAT} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf".encode())
        await writer.drain()

        async def active() -> bool:
            return await rig.stat("http.pool.downstream_rq_active") == 1

        await until(active, what="Envoy has the head of the request")
        assert workers[0].requests == 0
        writer.write(b"-rest.")
        assert (await reader.readline()).split()[1] == b"200"
        writer.close()
        await writer.wait_closed()


async def test_the_admin_interface_is_not_behind_the_port_of_the_counters(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, ONE, {f"chat-{STABLE}": workers}) as rig:
        base = f"http://127.0.0.1:{rig.model.ports.stats}"
        seen: dict[str, int] = {}
        for path in ("/stats/prometheus", "/healthz", "/quitquitquit", "/config_dump", "/stats", "/"):
            async with rig.session.get(base + path) as answer:
                seen[path] = answer.status
        async with aiohttp.request("POST", base + "/stats/prometheus") as answer:
            seen["POST"] = answer.status
        assert seen.pop("/stats/prometheus") == seen.pop("/healthz") == 200
        assert set(seen.values()) == {404}
