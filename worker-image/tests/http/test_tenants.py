"""Tenants at a worker's door: who has most in a full queue gets the 503, whoever came last."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from asking import ENDLESS, SHORT, begin, request_lines
from plain_http import NO_TLS
from retell import retell

from slicewise_worker.engine.callers import MOST_WEIGHT, Caller
from slicewise_worker.http.caller import PRIORITY_HEADER, WEIGHT_HEADER, caller_of
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.tenant import TENANT_HEADER, tenant_of

EMBEDDED = {"model": "chat", "input": ["zone " * 64] * 2000}
"""Takes many seconds, so that it is not over while others come, on a busy machine either."""


def ask(worker: Any, path: str, body: dict[str, Any], tenant: str) -> httpx2.Response:
    return httpx2.post(f"{worker.url}{path}", json=body, headers={TENANT_HEADER: tenant}, timeout=120, verify=NO_TLS)


@pytest.fixture(params=["text", "vectors"])
def crowded(request: pytest.FixtureRequest, start_worker, tiny_slow, tmp_path) -> tuple[Any, str, dict, dict]:
    """A worker with one place and room for two, and an endless and a short request to it."""
    limits = {"parallel_sequences": 1, "max_queue": 2}
    if request.param == "text":
        return start_worker(tiny_slow, context_tokens=32_000, **limits), "/v1/completions", ENDLESS, SHORT
    model = retell(tiny_slow, tmp_path / "slow.gguf", llama__pooling_type=1)
    return start_worker(model, **limits), "/v1/embeddings", EMBEDDED, EMBEDDED | {"input": "zone"}


def test_a_question_takes_the_place_of_whom_most_waits(crowded) -> None:
    worker, path, endless, short = crowded
    holder = begin(worker, path, endless, {TENANT_HEADER: "heavy"})
    worker.until(lambda: worker.metric("slicewise_worker_requests_running") == 1)
    with ThreadPoolExecutor(3) as pool:
        heavy = []
        for waiting in (1, 2):
            heavy.append(pool.submit(ask, worker, path, short, "heavy"))
            worker.until(lambda waiting=waiting: worker.metric("slicewise_worker_requests_waiting") == waiting)
        light = pool.submit(ask, worker, path, short, "light")
        refused = heavy[1].result(120)
        assert refused.status_code == 503, refused.text
        assert refused.json()["error"]["code"] == "queue_full"
        assert refused.headers["x-slicewise-not-started"] == "1"
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        holder.close()
        assert light.result(120).status_code == heavy[0].result(120).status_code == 200
    assert worker.metric("slicewise_worker_requests_total", finish_reason="refused") == 1


def test_a_worker_says_how_many_requests_it_has_where_the_operator_reads_it(crowded) -> None:
    worker, path, endless, short = crowded

    def said() -> dict[str, int]:
        return worker.get("/v1/worker").json()["requests"]

    assert said() == {"running": 0, "waiting": 0, "ended": 0}
    holder = begin(worker, path, endless)
    worker.until(lambda: said()["running"] == 1)
    waits = begin(worker, path, short)
    worker.until(lambda: said() == {"running": 1, "waiting": 1, "ended": 0})
    holder.close()
    worker.until(lambda: said() == {"running": 0, "waiting": 0, "ended": 1})
    waits.close()


def test_who_cannot_begin_in_its_time_gets_the_503_at_once_with_the_numbers(crowded) -> None:
    worker, path, endless, short = crowded
    with ThreadPoolExecutor(3) as pool:
        # What is measured: 40 steps of 50 ms, in which others wait.
        many = short | ({"max_tokens": 20} if "prompt" in short else {"input": ["zone " * 200] * 40})
        assert {one.result(120).status_code for one in [pool.submit(ask, worker, path, many, "a") for _ in "abc"]} == {
            200
        }
    holder = begin(worker, path, endless)
    worker.until(lambda: worker.metric("slicewise_worker_requests_running") == 1)
    waits = begin(worker, path, endless)
    worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 1)
    for allowed in ("200", "600", "1800"):  # a busy machine may take the shortest for the tokens alone
        headers = {"x-slicewise-timeout-ms": allowed}
        refused = httpx2.post(f"{worker.url}{path}", json=short, headers=headers, timeout=120)
        error = refused.json()["error"]
        if error["code"] != "timeout":
            break
    assert (refused.status_code, error["code"]) == (503, "deadline_unreachable"), refused.text
    assert "the 1 requests before it take" in error["message"]
    assert refused.headers["x-slicewise-not-started"] == "1"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert worker.metric("slicewise_worker_rejected_total", code="deadline_unreachable") == 1
    waits.close()
    holder.close()


def test_the_weight_of_a_tenant_is_what_the_gateway_says_and_1_otherwise() -> None:
    assert caller_of({TENANT_HEADER: "acme", WEIGHT_HEADER: "7"}) == Caller("acme", 7)
    assert caller_of({WEIGHT_HEADER: "100"}).weight == MOST_WEIGHT == 100
    for wrong in ("", "0", "101", "-1", "07", "1.5", "9" * 5000, "\u0663"):
        assert caller_of({TENANT_HEADER: "acme", WEIGHT_HEADER: wrong}) == Caller("acme", 1)


@pytest.mark.parametrize("wrong", ["high", "Batch", "batch,batch", "b" * 5000])
def test_a_priority_that_does_not_exist_is_refused_by_name(wrong: str) -> None:
    with pytest.raises(ApiError) as refused:
        caller_of({PRIORITY_HEADER: wrong})
    assert (refused.value.status, refused.value.param) == (400, "x-slicewise-priority")
    assert "write interactive or batch" in refused.value.message
    assert len(refused.value.message) < 250


def test_a_client_can_put_its_request_behind_others_and_never_before_them() -> None:
    assert caller_of({PRIORITY_HEADER: "batch", TENANT_HEADER: "a"}) == Caller("a", 1, batch=True)
    assert caller_of({PRIORITY_HEADER: "interactive"}) == caller_of({}) == Caller()


HELD = """
import time
from pathlib import Path
from slicewise_worker.engine.llama import Context
real, steps = Context.decode, iter(range(10**9))
def decode(self, batch):
    late = next(steps) > 20
    while late and not Path({gate!r}).exists():
        time.sleep(0.01)
    return real(self, batch)
Context.decode = decode
"""


def test_a_batch_request_gives_its_slot_to_a_question_and_is_whole_at_its_end(start_worker, tiny, tmp_path) -> None:
    # Whatever the machine is at, the answer is not over before there is a question.
    before = HELD.format(gate=str(tmp_path / "gate"))
    worker = start_worker(tiny, before=before, parallel_sequences=1, context_tokens=32_000, log_format="json")
    path = "/v1/completions"
    wrong = httpx2.post(f"{worker.url}{path}", json=SHORT, headers={PRIORITY_HEADER: "first"}, timeout=60)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, PRIORITY_HEADER)
    with ThreadPoolExecutor(2) as pool:
        long = SHORT | {"max_tokens": 60, "temperature": 0}
        behind = {"json": long, "headers": {PRIORITY_HEADER: "batch"}, "timeout": 120, "verify": NO_TLS}
        batch = pool.submit(httpx2.post, f"{worker.url}{path}", **behind)
        worker.until(lambda: worker.metric("slicewise_worker_generated_tokens_total") > 0)
        question = pool.submit(ask, worker, path, SHORT, "a")
        worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 1)
        (tmp_path / "gate").touch()
        assert question.result(120).status_code == 200
        assert batch.result(120).json()["usage"]["completion_tokens"] == 60
    lines = request_lines(worker, 3)
    assert [line.get("priority") for line in lines] == [None, None, "batch"], "the question ended first"


def test_the_weight_in_the_header_counts(start_worker, tiny_slow) -> None:
    worker = start_worker(tiny_slow, parallel_sequences=1, context_tokens=32_000, log_format="json")
    path = "/v1/completions"
    holder = begin(worker, path, ENDLESS)
    worker.until(lambda: worker.metric("slicewise_worker_requests_running") == 1)
    with ThreadPoolExecutor(16) as pool:

        def push(tenant: str, weight: str) -> Future[httpx2.Response]:
            headers = {TENANT_HEADER: tenant, WEIGHT_HEADER: weight}
            url = f"{worker.url}{path}"
            return pool.submit(httpx2.post, url, json=SHORT, headers=headers, timeout=120, verify=NO_TLS)

        asked = [push(tenant, weight) for tenant, weight in (("one", "1"), ("three", "3")) for _ in range(8)]
        worker.until(lambda: worker.metric("slicewise_worker_requests_waiting") == 16)
        holder.close()
        assert {one.result(120).status_code for one in asked} == {200}
    worker.until(lambda: sum(bool(line["tenant"]) for line in request_lines(worker, 16)) >= 16)
    ends = [line["tenant"] for line in request_lines(worker, 16) if line["tenant"]]
    assert len(ends) == 16
    assert 7 <= ends[:10].count("three") <= 8, ends


def test_a_tenant_is_its_name_and_no_name_is_one_tenant() -> None:
    assert tenant_of({TENANT_HEADER: "acme"}) == "acme"
    assert tenant_of({}) is tenant_of({TENANT_HEADER: ""}) is None
    assert len(tenant_of({TENANT_HEADER: "a" * 9999}) or "") == 253
