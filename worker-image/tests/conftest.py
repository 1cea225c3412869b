"""The made models, and real worker processes that serve them."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import httpx2
import openai
import patient_properties  # noqa: F401
import pytest
from encoders import CONTEXT, write_bert
from fuzzing import (  # noqa: F401 - hooks and a fixture
    INPUTS,
    fuzz_batch,
    pytest_generate_tests,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)
from plain_http import NO_TLS
from prometheus_client.parser import text_string_to_metric_families
from servers.processes import free_port

MAKE = Path(__file__).parents[1] / "models" / "make.py"
DEADLINE = 180.0
AS_IN_THE_IMAGE = "import sys; sys.modules['rich'] = None"
"""The image has no rich, and structlog loads it where it is: a fifth of what a worker takes to start."""
# It has no few: schemathesis alone takes seconds to prepare its requests to each path.
collect_ignore = [] if INPUTS else ["http/test_any_request.py"]


def make(name: str) -> Path:
    made = subprocess.run([sys.executable, str(MAKE), name], check=True, capture_output=True, text=True)
    return Path(made.stdout.strip())


@pytest.fixture(scope="session")
def tiny() -> Path:
    """Random weights: every part of the network matters. Greedy answers never end by themselves."""
    return make("tiny")


@pytest.fixture(scope="session")
def tiny_slow() -> Path:
    """As tiny, and each step takes 50 ms at least, on every machine."""
    return make("tiny-slow")


@pytest.fixture(scope="session")
def wordy() -> Path:
    """Answers in broken but readable sentences that begin with "Wordy one:"."""
    return make("wordy")


@pytest.fixture(scope="session")
def wordy_v2() -> Path:
    """As wordy, beginning with "Wordy two:"."""
    return make("wordy-v2")


@pytest.fixture(scope="session")
def wordy_slow() -> Path:
    """As wordy, beginning with "Wordy slow:", and each step takes 80 ms at least, on every machine."""
    return make("wordy-slow")


@pytest.fixture(scope="session")
def caller() -> Path:
    """Always answers "Let me look." and a call of `get_weather`; its template knows no tools."""
    return make("caller")


@pytest.fixture(scope="session")
def thinker() -> Path:
    """Always thinks, then calls `get_weather` and `get_time`; its marks are control tokens, and its template knows tools."""
    return make("thinker")


@pytest.fixture(scope="session")
def coder() -> Path:
    """Always says "Let me see.", then calls `get_weather` and `get_time`, with arguments in tags."""
    return make("coder")


@pytest.fixture(scope="session")
def channeler() -> Path:
    """Always thinks and calls `get_weather`, in channels."""
    return make("channeler")


@pytest.fixture(scope="session")
def tiny_adapters() -> dict[str, Path]:
    """Two adapters (LoRA) for tiny, by the names that clients send; each changes every matrix of every layer."""
    return {"one": make("tiny-lora-1"), "team/two": make("tiny-lora-2")}


@pytest.fixture(scope="session")
def wordy_adapter() -> Path:
    """An adapter for wordy, which is of tiny's architecture and of other sizes."""
    return make("wordy-lora")


def _fetched(file: Path, digest: str | None = None) -> dict[str, Any]:
    digest = digest or f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    return {"path": str(file), "digest": digest, "bytes": file.stat().st_size}


def write_result(
    folder: Path, model: Path, digest: str | None = None, adapters: Mapping[str, Path] = MappingProxyType({})
) -> Path:
    path = folder / "weights.json"
    files = [{"name": name, **_fetched(file)} for name, file in adapters.items()]
    path.write_text(json.dumps({**_fetched(model, digest), "adapters": files}))
    return path


@pytest.fixture
def weights_file(tmp_path: Path) -> Callable[..., Path]:
    """Write the result file of a fetch for a model; `digest` pretends another one. `adapters`: name to file."""
    return partial(write_result, tmp_path)


@dataclass
class RunningWorker:
    """A worker process and what its clients see of it."""

    process: subprocess.Popen[bytes]
    url: str
    folder: Path

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}{path}", timeout=DEADLINE, verify=NO_TLS)

    def post(self, path: str, body: object) -> httpx2.Response:
        return httpx2.post(f"{self.url}{path}", json=body, timeout=DEADLINE, verify=NO_TLS)

    def metric(self, name: str, **labels: str) -> float:
        """Return the sample called `name` (with its suffix), 0 where it does not exist."""
        for family in text_string_to_metric_families(self.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def verdict(self) -> dict[str, str]:
        """Return what the worker left in its termination log."""
        return json.loads((self.folder / "termination-log").read_text())

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds; a connection that is refused counts as not yet."""
        end = time.monotonic() + DEADLINE
        while time.monotonic() < end:
            try:
                if condition():
                    return
            except httpx2.TransportError:
                assert self.process.poll() is None, self.log()
            time.sleep(0.02)
        raise AssertionError(f"did not come true within {DEADLINE} s; log:\n{self.log()}")

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for the process to end and return its exit status."""
        return self.process.wait(DEADLINE)


def launch(folder: Path, model: Path, *, before: str = "", **settings: object) -> RunningWorker:
    """Start a worker on `model`; `settings` are named as the environment names them, in lower case. `adapters`: name to file.

    `before` is Python that runs in the worker's process first, to break a part of it.
    """
    port = free_port()
    adapters = cast("Mapping[str, Path]", settings.pop("adapters", {}))
    values = {
        "model_name": "chat",
        "weights_file": settings.pop("weights_file", None) or write_result(folder, model, adapters=adapters),
        "host": "127.0.0.1",
        "port": port,
        "threads": 1,
        "context_tokens": 512,
        "drain_delay_seconds": 0.2,
        "termination_log": folder / "termination-log",
        "log_format": "text",
        **settings,
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SLICEWISE_WORKER_")}
    # As `make` does: else a worker compiles all that it loads, which takes as long as the rest of its start.
    inherited.pop("PYTHONDONTWRITEBYTECODE", None)
    environment = inherited | {f"SLICEWISE_WORKER_{name.upper()}": str(value) for name, value in values.items()}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", f"{AS_IN_THE_IMAGE}\n{before}\nfrom slicewise_worker.__main__ import main\nmain()"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    return RunningWorker(process, f"http://127.0.0.1:{port}", folder)


@pytest.fixture
def start_worker(tmp_path: Path) -> Iterator[Callable[..., RunningWorker]]:
    """Start workers of the test's own; each is killed after it. `ready=False` does not wait until it serves."""
    started: list[RunningWorker] = []

    def start(model: Path, *, ready: bool = True, **settings: object) -> RunningWorker:
        folder = tmp_path / f"worker-{len(started)}"
        folder.mkdir()
        worker = launch(folder, model, **settings)
        started.append(worker)
        if ready:
            worker.until(lambda: worker.get("/readyz").status_code == 200)
        return worker

    yield start
    for worker in started:
        worker.process.kill()
        worker.process.wait()


@pytest.fixture(scope="module")
def shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., RunningWorker]]:
    """Start one worker a model and chat template for the tests of a module, which leave it as it was."""
    started: dict[tuple[Path, object], RunningWorker] = {}

    def start(model: Path, **settings: object) -> RunningWorker:
        key = (model, settings.get("chat_template"))
        if key not in started:
            started[key] = launch(tmp_path_factory.mktemp("shared"), model, **settings)
            started[key].until(lambda: started[key].get("/readyz").status_code == 200)
        return started[key]

    yield start
    for worker in started.values():
        worker.process.kill()
        worker.process.wait()


@pytest.fixture(scope="module")
def serve(shared_worker: Callable[..., RunningWorker]) -> Iterator[Callable[..., openai.OpenAI]]:
    """Return OpenAI's client of a worker with a model, which the tests of a module share."""
    with ExitStack() as opened:

        def serve(model: Path, **settings: object) -> openai.OpenAI:
            worker = shared_worker(model, context_tokens=2048, parallel_sequences=2, **settings)
            return opened.enter_context(openai.OpenAI(base_url=f"{worker.url}/v1", api_key="-", max_retries=0))

        yield serve


@pytest.fixture(scope="module")
def chat_worker(wordy: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """A worker that serves wordy as `chat`, shared by the tests of a module that leave it as it was."""
    worker = launch(tmp_path_factory.mktemp("chat"), wordy, parallel_sequences=2, pool="p", revision="r1", zone="a")
    worker.until(lambda: worker.get("/readyz").status_code == 200)
    yield worker
    worker.process.kill()
    worker.process.wait()


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """A worker that serves a small BERT, which makes the mean of its tokens' vectors, as `e`."""
    yield from _pooled(tmp_path_factory.mktemp("bert"), 1, "e")


@pytest.fixture(scope="module")
def reranker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningWorker]:
    """A worker that serves a small BERT which reranks as `r`."""
    yield from _pooled(tmp_path_factory.mktemp("rank"), 4, "r")


def _pooled(folder: Path, pooling: int, name: str) -> Iterator[RunningWorker]:
    worker = launch(folder, write_bert(folder / "m.gguf", pooling), context_tokens=CONTEXT, model_name=name)
    worker.until(lambda: worker.get("/readyz").status_code == 200)
    yield worker
    worker.process.kill()
    worker.process.wait()
