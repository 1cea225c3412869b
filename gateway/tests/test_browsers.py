"""Pages of other origins: preflight requests, answers and errors that a browser lets them read. On a real Envoy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rig.envoy import CHAT, STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.envoy import Cors, GatewayModel, TenantKeys

HERE, ELSEWHERE = "https://app.example.com", "https://app.example.com.evil.example"
CORS = Cors((HERE,), max_age_seconds=60)
PLAIN = GatewayModel("chat", (route(STABLE),), max_body_bytes=1000)
KEYED = replace(PLAIN, tenant_keys=TenantKeys("keys"), requests_per_minute=2)
KEY = {"Authorization": "Bearer key-of-acme-1"}


async def preflight(rig: Rig, origin: str, path: str = CHAT) -> tuple[int, Mapping[str, str]]:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-stainless-os",
    }
    async with rig.session.options(rig.url + path, headers=asked) as answer:
        await answer.read()
        return answer.status, answer.headers


async def test_a_preflight_request_needs_no_key_and_no_worker(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, replace(KEYED, cors=CORS), {f"chat-{STABLE}": workers}, acme="key-of-acme-1") as rig:
        for path in (CHAT, "/v1/models", "/v1/completions"):
            status, headers = await preflight(rig, HERE, path)
            assert (status, headers["Access-Control-Allow-Origin"]) == (200, HERE)
        assert headers["Access-Control-Allow-Headers"] == "authorization, *"
        assert headers["Access-Control-Allow-Methods"] == "GET, POST, OPTIONS"
        assert headers["Access-Control-Max-Age"] == "60"
        assert "Access-Control-Allow-Credentials" not in headers
        assert workers[0].requests == 0
        assert await rig.stat(f"slicewise.requests.slicewise_cluster.rev-{STABLE}") in {None, 0}
        _, headers = await preflight(rig, ELSEWHERE)
        assert "Access-Control-Allow-Origin" not in headers


async def test_a_page_can_read_answers_and_errors(tmp_path: Path, start_workers: StartWorkers) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, replace(KEYED, cors=CORS), {f"chat-{STABLE}": workers}, acme="key-of-acme-1") as rig:
        seen: list[int] = []
        workers[0].ready = False
        await rig.healthy(STABLE, 0)
        for path, given in ((CHAT, {}), (CHAT, KEY), ("/v1/models", KEY), (CHAT, KEY)):
            async with rig.session.post(rig.url + path, data=b"{}", headers={"Origin": HERE, **given}) as answer:
                assert "error" in await answer.json()
                seen.append(answer.status)
                assert answer.headers.get("Access-Control-Allow-Origin") == HERE, (path, answer.status, answer.headers)
                assert "retry-after" in answer.headers["Access-Control-Expose-Headers"]
        assert seen == [401, 503, 503, 429]


async def test_without_the_field_no_page_is_let_in_and_any_where_it_says_any(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    workers = await start_workers(1)
    async with running(tmp_path, PLAIN, {f"chat-{STABLE}": workers}) as rig:
        async with rig.session.post(rig.url + CHAT, data=b"{}", headers={"Origin": HERE}) as answer:
            assert answer.status == 200
            assert "Access-Control-Allow-Origin" not in answer.headers
        rig.model = replace(rig.model, cors=Cors(("*",)))
        assert await rig.apply() == ["rds.json"], "it closes no connection"

        async def any_page() -> bool:
            return (await preflight(rig, ELSEWHERE))[1].get("Access-Control-Allow-Origin") == ELSEWHERE

        await until(any_page, what="any page is let in")
