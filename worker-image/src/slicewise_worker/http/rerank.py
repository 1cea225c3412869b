"""`POST /v1/rerank`: how well each document answers a query, in the form of Jina and Cohere."""

from __future__ import annotations

import asyncio
import json
import sys
import uuid
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from slicewise_worker.http.caller import caller_of
from slicewise_worker.http.completions import parse
from slicewise_worker.http.intake import Wanted
from slicewise_worker.http.schema_vectors import RerankRequest
from slicewise_worker.http.served import check_model
from slicewise_worker.http.vectors import Evaluation, ServedVectors, check_room, read_all


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is ready for the engine. Of its body only what the answer repeats waits with it."""

    inputs: list[array[int]]
    top: int
    documents: Sequence[str] = ()
    """Where they were asked for."""


async def rerank(request: Request, served: ServedVectors) -> Response:
    """Answer with the documents in the order of their marks."""
    deadline = served.intake.deadline(request)
    asked = await served.intake.prepare(request, deadline.answer, lambda data, wanted: _prepare(data, wanted, served))
    kept = sum(map(sys.getsizeof, asked.documents))
    evaluation = Evaluation(served.engine, asked.inputs, deadline.answer, kept, caller_of(request.headers))
    evaluation.enter(request, served)
    try:
        rows = await evaluation.rows(request)
        head = {"id": f"rerank-{uuid.uuid4().hex}", "object": "list", "model": served.model_name}
        usage = {"prompt_tokens": evaluation.prompt_tokens, "total_tokens": evaluation.prompt_tokens}
        body = await asyncio.to_thread(_written, {**head, "usage": usage}, rows, asked)
        return Response(body, media_type="application/json")
    finally:
        evaluation.close()


def _prepare(data: bytes, wanted: Wanted, served: ServedVectors) -> _Asked:
    body = parse(data, RerankRequest)
    check_model(body.model, served)
    check_room(len(body.documents), served.engine, "documents")

    def read(index: int, most: int) -> array[int]:
        return served.pairs.pair(body.query, body.documents[index], most, wanted)

    inputs = read_all(len(body.documents), read, served.engine, "documents")
    top = min(body.top_n or len(inputs), len(inputs))
    return _Asked(inputs, top, body.documents if body.return_documents else ())


def scores(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return a mark of 0 to 1 for each row: of one number by the logistic function, of "yes" and "no" the probability of "yes"."""
    first = rows[:, 0].astype(np.float64)
    return first if rows.shape[1] > 1 else 1 / (1 + np.exp(-np.clip(first, -500, 500)))


def _written(head: dict[str, Any], rows: NDArray[np.float32], asked: _Asked) -> bytes:
    marks = scores(rows)
    order = np.argsort(-rows[:, 0], kind="stable")[: asked.top]
    results: list[dict[str, Any]] = [
        {"index": int(index), "relevance_score": float(marks[index])}
        | ({"document": {"text": asked.documents[index]}} if asked.documents else {})
        for index in order
    ]
    return json.dumps({**head, "results": results}, ensure_ascii=True).encode()
