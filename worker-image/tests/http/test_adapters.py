"""Clients choose an adapter by `model`; the answer carries its name."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

MESSAGES = [{"role": "user", "content": "Hi"}]


@pytest.fixture(scope="module")
def worker(tiny: Path, tiny_adapters, shared_worker) -> Any:
    """A worker that serves tiny as `base` and `old`, with two adapters."""
    return shared_worker(tiny, adapters=tiny_adapters, model_name="base", model_aliases='["old"]')


def completion(worker: Any, model: str) -> dict[str, Any]:
    body = {"model": model, "prompt": "The worker", "max_tokens": 24, "temperature": 0}
    answer = worker.post("/v1/completions", body)
    assert answer.is_success, answer.text
    return dict(answer.json())


def test_models_are_listed_with_what_they_change_and_can_do(worker: Any) -> None:
    listed = worker.get("/v1/models").json()["data"]
    known = [(model["id"], model.get("parent"), model["max_model_len"], model["capabilities"]) for model in listed]
    can = ["chat", "completions"]
    assert known == [
        ("base", None, 512, can),
        ("old", None, 512, can),
        ("one", "base", 512, can),
        ("team/two", "base", 512, can),
    ]
    assert worker.get("/v1/models/team/two").json()["parent"] == "base"
    assert worker.get("/v1/worker").json()["adapters"] == ["one", "team/two"]


def test_the_name_chooses_the_adapter_and_an_alias_the_model(worker: Any, tiny: Path, start_worker) -> None:
    answers = {name: completion(worker, name) for name in ("base", "old", "one", "team/two")}
    texts = {name: answer["choices"][0]["text"] for name, answer in answers.items()}
    assert texts["base"] == texts["old"]
    assert len({texts["base"], texts["one"], texts["team/two"]}) == 3
    models = {name: answer["model"] for name, answer in answers.items()}
    assert models == {"base": "base", "old": "base", "one": "one", "team/two": "team/two"}
    assert completion(start_worker(tiny), "chat")["choices"][0]["text"] == texts["base"]


def test_adapters_at_the_same_time_give_the_same_as_alone(worker: Any) -> None:
    names = ("one", "team/two", "base", "one")
    alone = [completion(worker, name)["choices"] for name in names]
    with ThreadPoolExecutor(len(names)) as threads:
        assert [*threads.map(lambda name: completion(worker, name)["choices"], names)] == alone


def test_every_dialect_takes_the_name(worker: Any) -> None:
    limit = {"model": "one", "max_tokens": 3}
    chat = worker.post("/v1/chat/completions", {**limit, "messages": MESSAGES}).json()
    message = worker.post("/v1/messages", {**limit, "messages": MESSAGES}).json()
    response = worker.post("/v1/responses", {"model": "one", "max_output_tokens": 16, "input": "Hi"}).json()
    assert [chat["model"], message["model"], response["model"]] == ["one"] * 3
    counted = worker.post("/v1/messages/count_tokens", {"model": "one", "messages": MESSAGES})
    assert counted.is_success


def test_an_unknown_name_is_answered_with_those_that_are_served(worker: Any) -> None:
    refused = worker.post("/v1/completions", {"model": "three", "prompt": "Hi"})
    assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")
    assert "serves 'base', 'one' and 'team/two'" in refused.json()["error"]["message"]


def test_a_wrong_adapter_ends_the_worker_and_is_named(
    start_worker: Callable[..., Any], tiny: Path, wordy_adapter: Path, weights_file: Callable[..., Path]
) -> None:
    result = weights_file(tiny, adapters={"odd": wordy_adapter})
    worker = start_worker(tiny, ready=False, weights_file=result)
    assert worker.wait() == 1
    verdict = worker.verdict()
    assert verdict["reason"] == "ModelUnusable"
    assert "adapter 'odd'" in verdict["message"]
    assert "maybe wrong base model" in verdict["message"]


def test_a_damaged_adapter_is_named(
    start_worker: Callable[..., Any], tiny: Path, tiny_adapters, weights_file: Callable[..., Path], tmp_path: Path
) -> None:
    damaged = tmp_path / "a.gguf"
    damaged.write_bytes(tiny_adapters["one"].read_bytes())
    result = weights_file(tiny, adapters={"odd": damaged})
    damaged.write_bytes(tiny_adapters["one"].read_bytes()[:-1] + b"?")
    worker = start_worker(tiny, ready=False, weights_file=result)
    assert worker.wait() == 1
    assert worker.verdict()["reason"] == "DigestMismatch"
    assert worker.verdict()["message"].startswith("adapter 'odd': ")
