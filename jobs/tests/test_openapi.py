"""The OpenAPI document of the API says what the API does, and all of it."""

from __future__ import annotations

import json
import os
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import aiohttp
import pytest
from jobs_rig.documented import DOCUMENT, SCHEMAS, Documented, check
from jobs_rig.openai_client import lines
from jobs_rig.programs import Api
from jobs_rig.store import KEPT, take
from jsonschema import Draft202012Validator

from slicewise_jobs.decisions.responses import _USUAL, open_response
from slicewise_jobs.decisions.states import State
from slicewise_jobs.http.hub import Hub
from slicewise_jobs.http.jobs import Jobs
from slicewise_jobs.http.metrics import ApiMetrics
from slicewise_jobs.http.openapi.document import PATH
from slicewise_jobs.http.openapi.errors import ALWAYS
from slicewise_jobs.serve_api import for_clients
from slicewise_jobs.settings import ApiSettings
from slicewise_jobs.store.database import Database
from slicewise_jobs.store.settle import Result, Settlement, settle

ROOT = Path(__file__).parents[2]
HOOKS = Path(__file__).with_name("requests_of_the_document.py")
OPERATIONS = {f"{method.upper()} {path}" for path, item in DOCUMENT["paths"].items() for method in item}
NONE = "0" * 32
ENDLESS = "/jobs/{id}/events"
"""Requests are made with ids of answers, too, and the events of a job that no dispatcher runs have no end."""
OF_THE_GATEWAY = {401, 403, 426, 431}
SELDOM = {408, 500}
"""Slow bodies, for which other tests wait, and what no test knows how to bring about."""


def test_the_document_has_the_routes_that_there_are(tmp_path: Path) -> None:
    metrics = ApiMetrics()
    known = {"hub": Hub(metrics), "metrics": metrics}
    jobs = Jobs(**{field.name: known.get(field.name) for field in fields(Jobs)})  # type: ignore[arg-type]
    settings = ApiSettings(database_url_file=tmp_path, pool="default/chat")
    app, _ = for_clients(settings, jobs, None)  # type: ignore[arg-type]
    served = {f"{route.method} {route.resource.canonical}" for route in app.router.routes() if route.resource}
    assert served == OPERATIONS


def test_every_schema_is_one_and_every_reference_leads_somewhere() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
    text = json.dumps(DOCUMENT)
    for part in ("schemas", "responses"):
        known = DOCUMENT["components"][part]
        used = {name for name in known if f'"#/components/{part}/{name}"' in text}
        assert used == set(known) - {"Event"}
        assert text.count(f'"#/components/{part}/') == sum(
            text.count(f'"#/components/{part}/{name}"') for name in known
        )
    names = [item["operationId"] for path in DOCUMENT["paths"].values() for item in path.values()]
    assert len(set(names)) == len(names)


def test_what_a_response_has_is_in_the_document() -> None:
    for state in State:
        shown = open_response("resp_" + NONE, 1, state, None, b"{}")
        check(SCHEMAS["Response"], shown)
        assert shown.keys() - _USUAL.keys() == SCHEMAS["Response"]["properties"].keys()


async def test_a_document_is_served(shared_api: Api, session: aiohttp.ClientSession) -> None:
    async with session.get(shared_api.url + PATH) as answer:
        assert await answer.json() == DOCUMENT


async def finished(database: Database, result: Result | None, error: str | None = None) -> None:
    (job,) = await take(database)
    await settle(
        database, [Settlement(job.seq, job.id, job.token, State.ERROR if error else State.DONE, result, error)], KEPT
    )


def form(content: bytes = b"", purpose: str = "batch", **more: str) -> aiohttp.FormData:
    data = aiohttp.FormData({"purpose": purpose, **more})
    data.add_field("file", content, filename="input.jsonl")
    return data


async def jobs_of_all_kinds(ask: Documented, api: Api, database: Database) -> None:
    one, events = "/jobs/{id}", "GET /jobs/{id}/events"
    key = {"Idempotency-Key": "k"}
    await ask.call(api, "POST /jobs", "/jobs?priority=high&expires_seconds=50", json={"prompt": "a"}, headers=key)
    await ask.call(api, "POST /jobs", "/jobs", json={"prompt": "b"}, headers=key)
    await finished(database, Result(200, "application/json", "", b'{"choices": []}'))
    for body in ({"prompt": "a"}, {"messages": [{}], "seed": 1}):
        await ask.call(api, "POST /jobs", "/jobs", json=body)
    await finished(database, None, "no")
    await ask.call(api, "POST /jobs", "/jobs?delay_seconds=5000", json={"prompt": "a"})
    found = (await ask.call(api, "GET /jobs", "/jobs?limit=3"))["data"]
    found += (await ask.call(api, "GET /jobs", f"/jobs?limit=3&after={found[-1]['job_id']}"))["data"]
    assert sorted(each["status"] for each in found) == ["done", "error", "queued", "queued"]
    for job in found:
        path = f"/jobs/{job['job_id']}"
        await ask.call(api, f"GET {one}", path)
        if job["status"] == "done":
            await ask.call(api, f"DELETE {one}", path)
            await ask.call(api, events, f"{path}/events")
            await ask.call(api, events, f"{path}/events", headers={"Last-Event-ID": "1-done"})
            async with ask._session.ws_connect(f"{api.url}{path}/events", headers=ask.headers) as socket:
                check(SCHEMAS["Event"], (await socket.receive()).json())
                ask.seen[events].add(101)
        elif job["status"] == "queued":
            await ask.call(api, f"DELETE {one}", path)
            await ask.call(api, f"GET {one}", path)
    for operation in (f"GET {one}", f"DELETE {one}", events):
        await ask.call(api, operation, f"/jobs/job_{NONE}{'/events' if operation == events else ''}")


async def files_and_batches(ask: Documented, api: Api) -> None:
    file, batch = "/v1/files/{id}", "/v1/batches/{id}"
    sent = await ask.call(api, "POST /v1/files", "/v1/files", data=form(lines(["a"])))
    expiry = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
    other = await ask.call(api, "POST /v1/files", "/v1/files", data=form(b"{", **expiry))
    await ask.call(api, "GET /v1/files", "/v1/files?purpose=batch&order=asc&limit=1")
    wanted = {"input_file_id": sent["id"], "endpoint": "/v1/chat/completions", "completion_window": "24h"}
    made = await ask.call(api, "POST /v1/batches", "/v1/batches", json={**wanted, "metadata": {"a": "b"}})
    await ask.call(api, "POST /v1/batches", "/v1/batches", json={**wanted, "input_file_id": f"file-{NONE}"})
    bad = await ask.call(api, "POST /v1/batches", "/v1/batches", json={**wanted, "input_file_id": other["id"]})
    while (shown := await ask.call(api, f"GET {batch}", f"/v1/batches/{bad['id']}"))["status"] == "validating":
        pass
    assert shown["errors"]["data"][0]["code"] == "invalid_json_line"
    await ask.call(api, "GET /v1/batches", "/v1/batches?limit=1")
    await ask.call(api, f"DELETE {file}", f"/v1/files/{sent['id']}")
    for path in (made["id"], bad["id"], f"batch_{NONE}"):
        await ask.call(api, f"POST {batch}/cancel", f"/v1/batches/{path}/cancel")
    for path in (other["id"], f"file-{NONE}"):
        await ask.call(api, f"GET {file}", f"/v1/files/{path}")
        await ask.call(api, f"GET {file}/content", f"/v1/files/{path}/content")
        await ask.call(api, f"DELETE {file}", f"/v1/files/{path}")
    await ask.call(api, f"GET {batch}", f"/v1/batches/batch_{NONE}")


async def responses(ask: Documented, api: Api, database: Database) -> None:
    one, asked = "/v1/responses/{id}", {"background": True, "input": "x"}
    key = {"Idempotency-Key": "of a response"}
    sent = await ask.call(api, "POST /v1/responses", "/v1/responses", json=asked, headers=key)
    await ask.call(api, "POST /v1/responses", "/v1/responses", json={**asked, "input": "y"}, headers=key)
    await finished(database, Result(200, "application/json", "", b'{"object": "response", "status": "completed"}'))
    for path in (sent["id"], f"resp_{NONE}"):
        await ask.call(api, f"GET {one}", f"/v1/responses/{path}")
        await ask.call(api, f"POST {one}/cancel", f"/v1/responses/{path}/cancel")
        await ask.call(api, f"DELETE {one}", f"/v1/responses/{path}")


async def test_every_operation_answers_as_the_document_says_and_with_every_status_that_it_names(
    start_api: Callable[..., Api], session: aiohttp.ClientSession, database: Database
) -> None:
    api, ask = start_api(MAX_BODY_BYTES=65536, MAX_BODY_MEMORY_BYTES=2 << 20), Documented(session)
    await responses(ask, api, database)
    await jobs_of_all_kinds(ask, api, database)
    await files_and_batches(ask, api)
    await ask.call(api, f"GET {PATH}", PATH)
    # Refusals that are the same at every path are tried at one of them each.
    await ask.call(api, "GET /jobs", "/jobs?limit=0")
    await ask.call(api, "POST /jobs", "/jobs", data=b"x" * 65537)
    await ask.call(api, "POST /jobs", "/jobs", json={}, headers={"Content-Encoding": "gzip"})
    full = start_api(MAX_BACKLOG_JOBS=1, MAX_BODY_MEMORY_BYTES=1024)
    await ask.call(full, "POST /jobs", "/jobs", json={"prompt": "a"})
    await ask.call(full, "POST /jobs", "/jobs", json={"prompt": "a"})
    await ask.call(full, "POST /jobs", "/jobs", json={"prompt": "a" * 2000})
    assert ask.seen.keys() == OPERATIONS
    seen = set().union(*ask.seen.values())
    assert seen >= ALWAYS.keys() - OF_THE_GATEWAY - SELDOM
    for operation, statuses in ask.seen.items():
        method, path = operation.split(" ")
        named = set(map(int, DOCUMENT["paths"][path][method.lower()]["responses"]))
        assert named - statuses - ALWAYS.keys() <= OF_THE_GATEWAY, operation


async def test_each_parameter_of_the_document_is_taken_and_no_other(
    shared_api: Api, session: aiohttp.ClientSession, database: Database
) -> None:
    values = {"order": "asc", "status": "done", "priority": "low", "purpose": "batch", "last_event_id": "x"}
    numbers = {"delay_seconds": "5", "expires_seconds": "9", "limit": "1"}
    for operation in sorted(OPERATIONS):
        method, path = operation.split(" ")
        named = [
            each for each in DOCUMENT["paths"][path][method.lower()].get("parameters", ()) if each["in"] == "query"
        ]
        for parameter in (*(each["name"] for each in named if each["name"] != "after"), *(["page"] if named else [])):
            query = f"{parameter}={ {**values, **numbers}.get(parameter, 'x') }"
            headers = {"Content-Type": "application/json"}
            where = f"{shared_api.url}{path.format(id='job_' + NONE)}?{query}"
            async with session.request(method, where, data=b'{"prompt": "a"}', headers=headers) as answer:
                code = (await answer.json()).get("error", {}).get("code")
                assert (code == "unknown_parameter") == (parameter == "page"), (operation, parameter, code)


def asked(folder: Path, url: str, examples: int) -> dict[str, int]:
    """Make requests from the document; return how often which operation was answered how."""
    made = subprocess.run(
        [ROOT / "images/clients.sh", "schemathesis"], capture_output=True, text=True, check=True, timeout=300
    )
    program = Path(made.stdout.strip()).with_name("schemathesis")
    quiet = ["--no-color", "--warnings=off", "--suppress-health-check=all", "--no-shrink"]
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,refusals_say_why"
    limits = [f"--max-examples={examples}", "--continue-on-failure", "--request-timeout=120", f"--checks={checks}"]
    ran = subprocess.run(
        [
            program,
            "run",
            url + PATH,
            *quiet,
            *limits,
            "--phases=fuzzing",
            "--generation-deterministic",
            f"--exclude-path={ENDLESS}",
        ],
        cwd=folder,
        env=os.environ | {"SCHEMATHESIS_HOOKS": str(HOOKS), "ANSWERED": str(folder / "answered.json")},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert ran.returncode == 0, f"{ran.stdout[-12000:]}\n{ran.stderr[-2000:]}"
    found: dict[str, int] = json.loads((folder / "answered.json").read_text())
    return found


@pytest.mark.timeout(900)
def test_any_request_is_answered_as_the_document_says(start_api: Callable[..., Api], tmp_path: Path) -> None:
    api = start_api(MAX_BODY_BYTES=65536)
    found = Counter(asked(tmp_path, api.url, 12))
    assert {name.rpartition(" ")[0] for name in found} >= OPERATIONS - {f"GET {ENDLESS}", f"GET {PATH}"}
    assert found["POST /jobs 202"] > 1, found
    assert found["POST /v1/responses 200"] > 1, found
    assert found["POST /v1/files 200"] > 1, found
    assert api.is_ready()
