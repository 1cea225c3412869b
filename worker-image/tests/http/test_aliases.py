"""A model answers under its name and under its aliases; answers carry the name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def test_clients_may_send_the_name_or_an_alias(start_worker: Callable[..., Any], tiny: Any) -> None:
    worker = start_worker(tiny, model_name="new", model_aliases='["old", "team/older:1"]')
    assert [model["id"] for model in worker.get("/v1/models").json()["data"]] == ["new", "old", "team/older:1"]
    assert worker.get("/v1/models/team/older:1").json()["id"] == "team/older:1"
    for name in ("new", "old", "team/older:1"):
        body = {"model": name, "prompt": "Hi", "max_tokens": 1}
        answer = worker.post("/v1/completions", body)
        assert (answer.status_code, answer.json()["model"]) == (200, "new")
        messages = [{"role": "user", "content": "Hi"}]
        assert worker.post("/v1/chat/completions", {"model": name, "messages": messages, "max_tokens": 1}).is_success
    refused = worker.post("/v1/completions", {"model": "oldest", "prompt": "Hi"})
    assert refused.status_code == 404
    assert refused.json()["error"]["code"] == "model_not_found"
