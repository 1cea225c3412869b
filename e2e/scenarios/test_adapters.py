"""Adapters on the cluster: fetched beside the model, chosen by name through the gateway."""

from __future__ import annotations

from typing import Any

from e2e.support.given import Given
from e2e.support.polling import eventually
from e2e.support.pool import Pool, model
from e2e.support.story import Story
from e2e.support.then import Then


def test_a_client_chooses_an_adapter_by_its_name(story: Story, given: Given, then: Then) -> None:
    adapters = [{"name": "law", **model("tiny-lora-1")}, {"name": "tax", **model("tiny-lora-2")}]
    pool = given.a_pool("chat", replicas=1, zones=None, model={**model("tiny"), "adapters": adapters})
    then.the_endpoint_answers(pool)
    answers = {
        name: eventually("an answer", lambda name=name: _ask(story, pool, name), 60) for name in ("chat", "law", "tax")
    }
    assert {name: answer["model"] for name, answer in answers.items()} == {"chat": "chat", "law": "law", "tax": "tax"}
    assert len({answer["choices"][0]["text"] for answer in answers.values()}) == 3
    _, listed = story.api.get_through("services", f"http:{pool.name}:80", pool.namespace, "v1/models")
    assert {item["id"]: item.get("parent") for item in listed["data"]} == {"chat": None, "law": "chat", "tax": "chat"}


def _ask(story: Story, pool: Pool, name: str) -> dict[str, Any]:
    body = {"model": name, "prompt": "Hello", "max_tokens": 8, "temperature": 0}
    status, answer = story.api.post_through("services", f"http:{pool.name}:80", pool.namespace, "v1/completions", body)
    assert status == 200, answer
    return dict(answer)
