"""A worker process from start to end: what it says about itself, and how it leaves."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx2
import pytest
from plain_http import NO_TLS

from slicewise_worker.engine.cpus import BUILT_IN, VARIABLE, best, found_codes, kernel_flags

ENDLESS = {"model": "chat", "prompt": "Hello", "max_tokens": 30_000, "temperature": 0, "stream": True}
SHORT = {"model": "chat", "prompt": "Hello", "max_tokens": 3}


class Stream(threading.Thread):
    """A client that reads a stream to its end."""

    def __init__(self, url: str, body: dict[str, Any]) -> None:
        super().__init__()
        self._url = url
        self._body = body
        self.begun = threading.Event()
        self.events: list[str] = []
        self.start()
        assert self.begun.wait(60)

    def run(self) -> None:
        with httpx2.stream(
            "POST", f"{self._url}/v1/completions", json=self._body, timeout=60, verify=NO_TLS
        ) as response:
            for line in response.iter_lines():
                self.begun.set()
                if line:
                    self.events.append(line.removeprefix("data: "))

    def read(self) -> list[str]:
        self.join(60)
        return self.events


def test_a_worker_says_who_it_is(chat_worker) -> None:
    facts = chat_worker.get("/v1/worker").json()
    assert (facts["pool"], facts["revision"], facts["zone"], facts["model"]) == ("p", "r1", "a", "chat")
    assert facts["digest"].startswith("sha256:")
    assert facts["digest_verified"] is True
    assert facts["on_gpu"] is False
    assert facts["device"]
    assert facts["reason"] == ""
    assert "digest verified" in chat_worker.log()


def test_the_best_code_for_the_processor_computes_and_is_said(start_worker, tiny, monkeypatch) -> None:
    chosen = best(found_codes(), kernel_flags())
    for asked, name in (("", chosen.name if chosen else BUILT_IN), (BUILT_IN, BUILT_IN)):
        monkeypatch.setenv(VARIABLE, asked)
        worker = start_worker(tiny)
        assert worker.get("/v1/worker").json()["cpu_code"] == name
        assert worker.metric("slicewise_worker_build_info", cpu_code=name) == 1
        assert f"cpu_code={name}" in worker.log()
        answer = worker.post("/v1/completions", {"model": "chat", "prompt": "zone", "max_tokens": 4, "temperature": 0})
        assert answer.json()["usage"]["completion_tokens"] == 4


def test_a_cpu_that_may_stand_in_for_a_gpu_is_said(start_worker, tiny) -> None:
    worker = start_worker(tiny, device="gpu", allow_cpu=True)
    facts = worker.get("/v1/worker").json()
    assert facts["on_gpu"] is False
    assert "vulkan" in facts["reason"]
    assert worker.metric("slicewise_worker_on_gpu") == 0


def test_metrics_follow_the_requests(chat_worker) -> None:
    names = {
        "prompt": "slicewise_worker_prompt_tokens_total",
        "generated": "slicewise_worker_generated_tokens_total",
        "requests": "slicewise_worker_request_duration_seconds_count",
        "first": "slicewise_worker_time_to_first_token_seconds_count",
        "steps": "slicewise_worker_step_seconds_count",
    }
    before = {key: chat_worker.metric(name) for key, name in names.items()}
    usage = chat_worker.post("/v1/completions", SHORT | {"temperature": 0}).json()["usage"]
    after = {key: chat_worker.metric(name) for key, name in names.items()}
    assert after["prompt"] - before["prompt"] == usage["prompt_tokens"]
    assert after["generated"] - before["generated"] == usage["completion_tokens"] == 3
    assert after["requests"] - before["requests"] == after["first"] - before["first"] == 1
    assert after["steps"] > before["steps"]
    assert chat_worker.metric("slicewise_worker_build_info", pool="p", revision="r1", model_name="chat") == 1
    assert chat_worker.metric("slicewise_worker_requests_running") == 0


def test_the_first_token_at_the_start_is_not_counted_as_a_request(start_worker, tiny) -> None:
    assert start_worker(tiny).metric("slicewise_worker_request_duration_seconds_count") == 0


def test_a_drain_goes_on_serving_and_then_finishes_what_runs(start_worker, tiny) -> None:
    # Long enough for a busy machine to get both requests through.
    worker = start_worker(tiny, before=QUIET.replace("4.0", "60.0"), context_tokens=4000, drain_delay_seconds=8)
    stream = Stream(worker.url, ENDLESS | {"max_tokens": 3000})
    worker.terminate()
    worker.until(lambda: worker.get("/readyz").status_code == 503)
    assert worker.get("/livez").status_code == 200
    served = worker.post("/v1/completions", SHORT)
    assert served.status_code == 200
    assert served.headers["Connection"] == "close"
    assert worker.wait() == 0
    events = stream.read()
    assert events[-1] == "[DONE]"
    assert json.loads(events[-2])["choices"][0]["finish_reason"] == "length"


def test_a_drain_ends_early_where_nobody_sends_and_lasts_where_somebody_does(start_worker, tiny) -> None:
    idle = start_worker(tiny, drain_delay_seconds=3600)
    idle.terminate()
    assert idle.wait() == 0

    # A client that the machine holds up for longer than the quiet time is as good as none, and tries with another worker.
    assert any(lasts(start_worker(tiny, before=QUIET, drain_delay_seconds=3600)) for _ in range(5))


def lasts(worker) -> bool:
    """Send requests to a worker that drains, longer than the quiet time; return False where they came too far apart to say anything."""
    worker.terminate()
    latest = begin = time.monotonic()
    try:
        while (now := time.monotonic()) < begin + 5.5:
            assert worker.post("/v1/completions", SHORT).status_code == 200
            latest = now
            time.sleep(0.1)
        assert worker.get("/readyz").status_code == 503
    except httpx2.TransportError:
        assert time.monotonic() > latest + 4.0, "refused within the quiet time"
        return False
    worker.terminate()
    assert worker.wait() == 0
    return True


def test_a_drain_waits_for_an_answer_longer_than_its_delay(start_worker, tiny) -> None:
    worker = start_worker(tiny, context_tokens=32_000, drain_delay_seconds=0)
    stream = Stream(worker.url, ENDLESS | {"max_tokens": 4000})
    worker.terminate()
    assert worker.wait() == 0
    assert stream.read()[-1] == "[DONE]"


def test_no_answer_outlasts_the_longest_allowed_so_a_drain_ends(start_worker, tiny) -> None:
    worker = start_worker(tiny, context_tokens=32_000, drain_delay_seconds=0, max_answer_seconds=1)
    stream = Stream(worker.url, ENDLESS)
    worker.terminate()
    assert worker.wait() == 0
    events = stream.read()
    assert json.loads(events[-1])["error"]["code"] == "timeout"
    assert all(json.loads(event)["choices"][0]["finish_reason"] is None for event in events[:-1])


QUIET = """
import slicewise_worker.server as server
server._QUIET_SECONDS = 4.0
"""

HANGING = """
import threading
from pathlib import Path
import slicewise_worker.server as server
from slicewise_worker.engine.llama import Context
server._LAST_SECONDS = 0.5
real, steps = Context.decode, iter(range(10**9))
def decode(self, batch):
    if next(steps) < 200:
        return real(self, batch)
    Path({hangs!r}).touch()
    threading.Event().wait()
Context.decode = decode
"""


def test_a_worker_whose_engine_hangs_ends_by_itself_when_every_time_is_over(start_worker, tiny, tmp_path) -> None:
    """The kubelet would wait for the longest time that any request may take."""
    hangs = tmp_path / "hangs"
    settings = {"context_tokens": 32_000, "drain_delay_seconds": 0, "max_answer_seconds": 2}
    worker = start_worker(tiny, before=HANGING.format(hangs=str(hangs)), **settings)

    def ask() -> None:
        with suppress(httpx2.TransportError):
            httpx2.post(f"{worker.url}/v1/completions", json=ENDLESS, timeout=60, verify=NO_TLS)

    with ThreadPoolExecutor(1) as pool:
        while not hangs.exists():  # on a busy machine the time of one may be over before that
            asked = pool.submit(ask)
            worker.until(lambda asked=asked: hangs.exists() or asked.done())
        worker.terminate()
        assert worker.wait() == 1
    assert "ending the process" in worker.log()


def test_a_second_signal_ends_sooner_and_tells_the_client(start_worker, tiny) -> None:
    worker = start_worker(tiny, context_tokens=32_000, drain_delay_seconds=60)
    stream = Stream(worker.url, ENDLESS)
    worker.terminate()
    worker.until(lambda: worker.get("/readyz").status_code == 503)
    worker.terminate()
    assert worker.wait() == 0
    assert json.loads(stream.read()[-1])["error"]["code"] == "shutting_down"


@pytest.mark.parametrize("moment", ["before it serves", "idle"])
def test_an_idle_or_starting_worker_leaves_quietly(start_worker, wordy, moment: str) -> None:
    worker = start_worker(wordy, ready=moment == "idle", drain_delay_seconds=0)
    if moment != "idle":
        worker.until(lambda: "digest verified" in worker.log())
    worker.terminate()
    assert worker.wait() == 0
    assert not (worker.folder / "termination-log").exists()


BREAK_AFTER_200_STEPS = """
from slicewise_worker.engine.llama import Context
real, steps = Context.decode, iter(range(10**9))
Context.decode = lambda self, batch: real(self, batch) if next(steps) < 200 else -3
"""


def test_a_worker_whose_engine_breaks_tells_its_clients_and_ends_to_be_started_again(start_worker, tiny) -> None:
    worker = start_worker(tiny, before=BREAK_AFTER_200_STEPS)
    events = Stream(worker.url, ENDLESS).read()
    assert json.loads(events[-1])["error"]["code"] == "engine_failed"
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "EngineFailed"
    assert "llama_decode returned -3" in worker.verdict()["message"]


def test_a_worker_listens_on_both_families_of_addresses(start_worker, tiny) -> None:
    worker = start_worker(tiny, host="")
    assert httpx2.get(worker.url.replace("127.0.0.1", "[::1]") + "/livez", verify=NO_TLS).status_code == 200
