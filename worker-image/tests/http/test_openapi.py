"""The OpenAPI document: valid, of every path that the worker answers at, and made of what checks the requests."""

from __future__ import annotations

from typing import Any

import pytest
from docpages.api import BODIES as OF_THE_PAGE
from documented import unlike_the_document
from openapi_spec_validator import validate
from pydantic import ValidationError
from starlette.routing import Route

from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.state import WorkerState
from slicewise_worker.http.app import Worker, build_app
from slicewise_worker.http.openapi import BODIES, document, written
from slicewise_worker.settings import WorkerSettings

FOR_THE_CLUSTER = {"/livez", "/readyz", "/startupz", "/metrics", "/v1/worker"}
MOST_BYTES = 128 << 10


def test_the_document_is_valid_and_small() -> None:
    validate(document())
    assert len(written()) < MOST_BYTES
    assert b"slicewise_worker" not in written()


def test_every_path_for_clients_is_there_with_its_method() -> None:
    worker = Worker(WorkerSettings(model_name="chat"), WorkerState(), WorkerMetrics(), created=0)
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in build_app(worker).routes
        if isinstance(route, Route) and route.path not in FOR_THE_CLUSTER
        for method in (route.methods or set()) - {"HEAD"}
    }
    assert {
        (path, name) for path, item in document()["paths"].items() for name in item if name != "parameters"
    } == routes
    assert {f"POST {path}": model for path, model in BODIES.items()}.items() >= OF_THE_PAGE.items()


def test_a_worker_serves_it_and_its_answers_are_as_it_says(chat_worker: Any) -> None:
    answer = chat_worker.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.content == written()
    for path in (
        "/v1/chat/completions",
        "/v1/completions",
        "/v1/responses",
        "/v1/messages",
        "/v1/messages/count_tokens",
    ):
        operation = document()["paths"][path]["post"]
        text = {"messages": [{"role": "user", "content": "Hi"}]}
        text = {"/v1/completions": {"prompt": "Hi"}, "/v1/responses": {"input": "Hi"}}.get(path, text)
        limit = {"/v1/responses": "max_output_tokens", "/v1/messages/count_tokens": None}.get(path, "max_tokens")
        whole = chat_worker.post(path, {"model": "chat", **text, **({limit: 2} if limit else {})})
        assert whole.status_code == 200, whole.text
        needed = operation["responses"]["200"]["content"]["application/json"]["schema"]["required"]
        assert set(needed) <= set(whole.json()), path
        for wrong, status in (({"nonsense": 1}, 400), ({"model": "other"}, 404)):
            refused = chat_worker.post(path, {"model": "chat", **text, **({limit: 1} if limit else {}), **wrong})
            assert refused.status_code == status, refused.text
            assert unlike_the_document(path, status, refused.json()) == []
        wrong_method = chat_worker.get(path)
        assert unlike_the_document(path, 405, wrong_method.json(), wrong_method.headers) == []
    every = chat_worker.get("/v1/models")
    assert unlike_the_document("/v1/models", 200, every.json()) == []


@pytest.mark.parametrize(
    ("path", "field", "values"),
    [
        ("/v1/completions", "prompt", ["a", ["a"], [1, 2], [[1], [2]]]),
        ("/v1/completions", "stop", ["a", ["a", "b"], None]),
        ("/v1/embeddings", "input", ["a", ["a"], [1, 2], [[1], [2]]]),
        ("/v1/rerank", "documents", [["a"], [{"text": "a"}]]),
        ("/v1/chat/completions", "tool_choice", ["auto", {"type": "function", "function": {"name": "f"}}, None]),
    ],
)
def test_what_the_document_says_of_fields_with_several_forms_is_what_is_taken(
    path: str, field: str, values: list[Any]
) -> None:
    for value in values:
        with pytest.raises(ValidationError) as caught:
            BODIES[path].model_validate({field: value})
        assert field not in {each["loc"][0] for each in caught.value.errors() if each["loc"]}, value
