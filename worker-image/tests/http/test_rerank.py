"""Rerankers are served as such: their marks are what numpy computes, in the form of Jina and Cohere."""

from __future__ import annotations

import pytest
from encoders import CLS, SEP, expected_score, tokens_of

QUERY = "the zone of a worker"
DOCUMENTS = ["moon cheese", "a pool of the worker .", "slice", "the the the zone zone"]


def ask(worker, status: int = 200, **given: object) -> dict:
    answer = worker.post("/v1/rerank", {"model": "r", "query": QUERY, "documents": DOCUMENTS, **given})
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else answer.json()["error"]


def pair(document: str) -> list[int]:
    return [CLS, *tokens_of(QUERY)[1:-1], SEP, *tokens_of(document)[1:-1], SEP]


def test_documents_come_in_the_order_of_what_the_network_makes_of_them(reranker) -> None:
    answer = ask(reranker)
    scores = {result["index"]: result["relevance_score"] for result in answer["results"]}
    for index, document in enumerate(DOCUMENTS):
        assert scores[index] == pytest.approx(expected_score(pair(document)), abs=2e-3)
    found = [result["relevance_score"] for result in answer["results"]]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(DOCUMENTS)
    assert answer["usage"]["total_tokens"] == sum(len(pair(document)) for document in DOCUMENTS)
    assert all("document" not in result for result in answer["results"])


def test_as_many_as_asked_for_with_their_texts_from_strings_and_objects(reranker) -> None:
    whole = ask(reranker)["results"]
    given = [{"text": document} for document in DOCUMENTS]
    best = ask(reranker, documents=given, top_n=2, return_documents=True)["results"]
    assert [result["index"] for result in best] == [result["index"] for result in whole[:2]]
    assert [result["document"]["text"] for result in best] == [DOCUMENTS[result["index"]] for result in best]
    assert len(ask(reranker, top_n=99)["results"]) == len(DOCUMENTS)


def test_hostile_requests_have_an_outcome(reranker) -> None:
    assert len(ask(reranker, query="", documents=[""] * 2048)["results"]) == 2048
    for documents in ([], None, "a", [1], [{"text": 1}], [{"text": "a", "title": "b"}], ["a"] * 2049):
        assert ask(reranker, 400, documents=documents)["param"] == "documents"
    assert ask(reranker, 400, query=None)["param"] == "query"
    assert ask(reranker, 400, top_n=0)["param"] == "top_n"
    assert ask(reranker, 400, rank_fields=["a"])["code"] == "unknown_parameter"
    long = ask(reranker, 400, documents=["slice", "slice " * 600])
    assert (long["code"], long["param"]) == ("context_length_exceeded", "documents[1]")
    assert ask(reranker, 400, query="slice " * 600)["code"] == "context_length_exceeded"
    assert reranker.get("/readyz").status_code == 200


def test_a_reranker_refuses_other_requests_by_name(reranker) -> None:
    answer = reranker.post("/v1/embeddings", {"model": "r", "input": "a"})
    assert answer.status_code == 400
    assert "serves reranking only: use /v1/rerank" in answer.json()["error"]["message"]
    assert reranker.get("/v1/models/r").json()["capabilities"] == ["rerank"]
