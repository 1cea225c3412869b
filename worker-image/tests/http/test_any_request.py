"""Requests made from the worker's own OpenAPI document, valid ones and others: each is answered as the document says.

`make fuzz` runs it, and no other command.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from fuzzing import FOUND, INPUTS, MIB, SLACK, Figures, resident

ROOT = Path(__file__).parents[3]
HOOKS = Path(__file__).with_name("requests_of_the_document.py")
SECONDS = 120
"""For one answer, by the clock."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "streams_are_whole",
    "refusals_say_why",
)
TEXT = ("chat/completions", "completions", "responses", "messages", "messages/count_tokens", "models", "models/{name}")
WORKERS = {
    "tiny": ("chat", TEXT),
    "coder": ("chat", TEXT[:1]),
    "bert": ("e", ("embeddings",)),
    "reranker": ("r", ("rerank",)),
}
"""Fixture of a model or a worker → the name it serves, and the paths below /v1 that it is asked at. `coder` writes arguments in tags."""
PATHS = sum(len(paths) for _, paths in WORKERS.values()) - 1
"""Schemathesis makes as many requests to each; the list of models is asked for once."""
PARTS = 4


@pytest.fixture(scope="module")
def program() -> Path:
    """Schemathesis, in its own environment."""
    script = [ROOT / "images/clients.sh", "schemathesis"]
    made = subprocess.run(script, capture_output=True, text=True, check=False, timeout=300)
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.strip()).with_name("schemathesis")


def asked(program: Path, url: str, folder: Path, name: str, paths: Iterable[str], seed: int) -> dict[str, int]:
    """Make as many requests to each path; return what was answered, and how often."""
    here = {"SCHEMATHESIS_HOOKS": str(HOOKS), "ANSWERED": str(folder / "answered.json"), "MODEL": name}
    examples = -(-INPUTS // PATHS // PARTS)
    # A failure is told by its first request: making that smaller takes hundreds of others for each.
    quiet = ["--no-color", "--warnings=off", "--suppress-health-check=all", "--generation-database=none", "--no-shrink"]
    limits = [f"--request-timeout={SECONDS}", f"--max-examples={examples}", f"--seed={seed}", "--continue-on-failure"]
    checks = ["--phases=fuzzing", f"--checks={','.join(CHECKS)}"]
    ran = subprocess.run(
        [program, "run", f"{url}/openapi.json", *quiet, *limits, *checks, *(f"--include-path=/v1/{p}" for p in paths)],
        cwd=folder,
        env=os.environ | here,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, f"{ran.stdout[-12000:]}\n{ran.stderr[-2000:]}"
    found: dict[str, int] = json.loads((folder / "answered.json").read_text())
    return found


@pytest.mark.fuzz
@pytest.mark.parametrize("fixture", WORKERS)
def test_any_request_is_answered_as_the_document_says(
    request: pytest.FixtureRequest, program: Path, shared_worker: Any, tmp_path: Path, fixture: str
) -> None:
    name, paths = WORKERS[fixture]
    found = request.getfixturevalue(fixture)
    worker = shared_worker(found, parallel_sequences=2) if isinstance(found, Path) else found
    figures = FOUND.setdefault(f"any request to {fixture}", Figures())
    start = time.monotonic()
    for part in range(PARTS):
        answered = asked(program, worker.url, tmp_path, name, paths, part)
        figures.inputs += sum(answered.values())
        figures.memory.append(resident(worker.process.pid))
        figures.seconds = time.monotonic() - start
        print(answered)
    assert worker.process.poll() is None
    assert worker.get("/readyz").status_code == 200
    grown = figures.memory[-1] - figures.warm
    assert grown <= SLACK, f"after {figures.inputs} requests the worker holds {grown / MIB:.0f} MiB more"
