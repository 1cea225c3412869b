"""Clients that are not ours to change work against a pool, through its gateway; so do pools of models that generate no text."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from e2e.support.given import Given
from e2e.support.polling import PATIENCE, eventually
from e2e.support.pool import Pool, model
from e2e.support.programs import ENVIRONMENT, ROOT, run
from e2e.support.story import Story
from e2e.support.then import Then

PROGRAMS = sorted(path for path in (ROOT / "worker-image/tests/clients").glob("*.py") if path.stem != "endpoint")
QUIET = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONWARNINGS": "ignore"}
"""LiteLLM would look for prices on the internet."""


def test_the_sdks_and_frameworks_of_others_work_through_a_pool(given: Given, then: Then) -> None:
    python = run(ROOT / "images/clients.sh", within=300).strip()
    engine = {"contextTokens": 8192, "parallelSequences": 2}
    pool = given.a_pool("chat", replicas=1, zones=None, model=model("caller"), engine=engine)
    then.the_endpoint_answers(pool)
    with forwarded(pool) as url:
        for program in PROGRAMS:
            ran = subprocess.run(
                [python, program, url, pool.name],
                env=os.environ | QUIET,
                capture_output=True,
                text=True,
                check=False,
                timeout=120 * PATIENCE,
            )
            assert ran.returncode == 0, f"{program.name}:\n{ran.stdout[-4000:]}\n{ran.stderr[-8000:]}"


def test_embedding_models_and_rerankers_are_served_as_such(story: Story, given: Given) -> None:
    spec: dict[str, Any] = {"replicas": 1, "zones": None, "engine": {}}  # the model has less context than the default
    encoder = given.a_pool("encoder", model=model("encoder"), **spec)
    ranker = given.a_pool("ranker", model=model("reranker"), **spec)

    made = eventually("vectors", lambda: ask(story, encoder, 200, "embeddings", input=["slice", "the moon"]), 60)
    assert [(one["index"], len(one["embedding"])) for one in made["data"]] == [(0, 64), (1, 64)]
    documents = ["moon cheese", "a pool of the worker"]
    marked = eventually("marks", lambda: ask(story, ranker, 200, "rerank", query="the zone", documents=documents), 60)
    assert {result["index"] for result in marked["results"]} == {0, 1}

    messages = [{"role": "user", "content": "Hi"}]
    for pool, words in (
        (encoder, "serves embeddings only: use /v1/embeddings"),
        (ranker, "use /v1/rerank"),
    ):
        error = ask(story, pool, 400, "chat/completions", messages=messages)["error"]
        assert error["code"] == "task_not_supported", error
        assert words in error["message"], error


def ask(story: Story, pool: Pool, wanted: int, path: str, **fields: object) -> dict[str, Any]:
    """Ask through the gateway; return the body of an answer with the status that is wanted."""
    body = {"model": pool.name, **fields}
    status, answer = story.api.post_through("services", f"http:{pool.name}:80", pool.namespace, f"v1/{path}", body)
    assert status == wanted, answer
    return dict(answer)


@contextmanager
def forwarded(pool: Pool) -> Iterator[str]:
    """The pool's Service at a port of this machine that kubectl chooses."""
    command = ["kubectl", "-n", pool.namespace, "port-forward", f"service/{pool.name}", ":80"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as forward:
        try:
            assert forward.stdout is not None
            # "Forwarding from 127.0.0.1:41234 -> 8080"; nothing at all where kubectl fails.
            said = forward.stdout.readline()
            assert said.startswith("Forwarding from "), f"kubectl port-forward said {said!r}"
            yield "http://" + said.split()[2]
        finally:
            forward.terminate()
