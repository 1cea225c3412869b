"""What the API refuses, each by its name."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import pytest
from jobs_rig.client import Client
from jobs_rig.programs import Api

Start = Callable[..., Api]


@pytest.mark.parametrize(
    ("path", "body", "code", "param"),
    [
        ("/jobs", b"{", "invalid_json", None),
        ("/jobs", b"[]", "invalid_json", None),
        ("/jobs", b"\xff", "invalid_json", None),
        ("/jobs", '{"prompt": "a"}'.encode("utf-16"), "invalid_json", None),
        ("/jobs", b"[" * 60_000, "invalid_json", None),
        ("/jobs", b'{"prompt": "a", "params": {"seed": NaN}}', "invalid_json", None),
        ("/jobs", b"{}", "missing_required_parameter", "prompt"),
        ("/jobs", b'{"prompt": ""}', "invalid_value", "prompt"),
        ("/jobs", b'{"prompt": 1}', "invalid_value", "prompt"),
        ("/jobs", b'{"prompt": "a", "seed": 1}', "unknown_parameter", "seed"),
        ("/jobs", b'{"prompt": "a", "params": []}', "invalid_value", "params"),
        ("/jobs", b'{"prompt": "a", "params": {"stream": true}}', "invalid_value", "params.stream"),
        ("/jobs", b'{"prompt": "a", "params": {"messages": []}}', "invalid_value", "params.messages"),
        ("/jobs", b'{"messages": []}', "invalid_value", "messages"),
        ("/jobs", b'{"messages": [1]}', "invalid_value", "messages[0]"),
        ("/jobs", b'{"messages": [{}], "stream": true}', "invalid_value", "stream"),
        ("/jobs", b'{"messages": [{}], "model": ""}', "invalid_value", "model"),
        ("/jobs?priority=1", b'{"prompt": "a"}', "invalid_value", "priority"),
        ("/jobs?delay_seconds=nan", b'{"prompt": "a"}', "invalid_value", "delay_seconds"),
        ("/jobs?expires_seconds=1e9", b'{"prompt": "a"}', "invalid_value", "expires_seconds"),
        ("/jobs?expires_seconds=5&delay_seconds=5", b'{"prompt": "a"}', "invalid_value", "expires_seconds"),
    ],
)
async def test_what_is_wrong_is_refused_by_name(
    shared_api: Api, session: aiohttp.ClientSession, path: str, body: bytes, code: str, param: str | None
) -> None:
    status, answer, _ = await Client(shared_api.url, session).call("POST", path, data=body)
    assert status == 400
    assert (answer["error"]["code"], answer["error"]["param"]) == (code, param)


@pytest.mark.parametrize(
    ("path", "code", "status"),
    [
        ("/jobs?limit=0", "invalid_value", 400),
        ("/jobs?limit=101", "invalid_value", 400),
        ("/jobs?status=waiting", "invalid_value", 400),
        ("/jobs?after=job_1", "invalid_value", 400),
        (f"/jobs?after=job_{'0' * 32}", "invalid_value", 400),
        ("/jobs?page=2", "unknown_parameter", 400),
        ("/jobs/job_1", "job_not_found", 404),
        (f"/jobs/job_{'0' * 32}", "job_not_found", 404),
        (f"/jobs/job_{'+0' * 16}", "job_not_found", 404),
        ("/v1/files?purpose=%C2%85S", "invalid_value", 400),
        ("/elsewhere", "not_found", 404),
    ],
)
async def test_what_is_not_there_is_said_by_name(
    shared_api: Api, session: aiohttp.ClientSession, path: str, code: str, status: int
) -> None:
    found, answer, _ = await Client(shared_api.url, session).call("GET", path)
    assert (found, answer["error"]["code"]) == (status, code)


async def test_methods_headers_and_sizes_are_bounded(shared_api: Api, session: aiohttp.ClientSession) -> None:
    client = Client(shared_api.url, session)
    status, answer, headers = await client.call("PUT", "/jobs", json={})
    assert (status, headers["Allow"]) == (405, "GET, POST")
    for key in ("", "x" * 256, "\u00e9"):
        status, answer, _ = await client.call("POST", "/jobs", json={"prompt": "a"}, key=key)
        assert (status, answer["error"]["param"]) == (400, "Idempotency-Key")
    client.headers = {"x-slicewise-tenant": "t" * 254}
    assert (await client.call("GET", "/jobs"))[0] == 400
    client.headers = {}
    status, answer, _ = await client.call("POST", "/jobs", json={"prompt": "x" * 65536})
    assert (status, answer["error"]["code"]) == (413, "body_too_large")

    async def endless():
        for _ in range(64):
            yield b"x" * 65536

    # It may break off while the client still writes.
    try:
        async with session.post(shared_api.url + "/jobs", data=endless()) as refused:
            assert refused.status == 413
    except aiohttp.ClientError:
        pass
