"""`POST /v1/embeddings`: texts or tokens to vectors of length one."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import structlog
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slicewise_worker.http.caller import caller_of
from slicewise_worker.http.completions import parse
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.intake import Wanted
from slicewise_worker.http.schema_vectors import EmbeddingRequest
from slicewise_worker.http.served import check_model
from slicewise_worker.http.vectors import Evaluation, ServedVectors, check_room, check_tokens, read_all

log = structlog.get_logger(__name__)

_JSON: Final = "application/json"
_AT_ONCE: Final = 1 << 15
"""Numbers that are written at once; more are written while they are sent."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is ready for the engine. Nothing of its body waits with it."""

    inputs: list[array[int]]
    dimensions: int
    as_base64: bool


async def embeddings(request: Request, served: ServedVectors) -> Response:
    """Answer with a vector for each input."""
    deadline = served.intake.deadline(request)
    asked = await served.intake.prepare(request, deadline.answer, lambda data, wanted: _prepare(data, wanted, served))
    evaluation = Evaluation(served.engine, asked.inputs, deadline.answer, 0, caller_of(request.headers))
    evaluation.enter(request, served)
    sending = False
    try:
        rows = await evaluation.rows(request)
        parts = _parts(rows, asked, served.model_name, evaluation.prompt_tokens)
        if rows.size <= _AT_ONCE:
            return Response(await asyncio.to_thread(b"".join, parts), media_type=_JSON)
        sending = True
        return _VectorStream(evaluation, deadline.read, parts)
    finally:
        if not sending:
            evaluation.close()


def _prepare(data: bytes, wanted: Wanted, served: ServedVectors) -> _Asked:
    body = parse(data, EmbeddingRequest)
    check_model(body.model, served)
    engine = served.engine
    if (body.dimensions or 0) > engine.width:
        message = (
            f"Invalid 'dimensions': it is {body.dimensions}, and vectors of this model have {engine.width} numbers."
        )
        raise ApiError(400, message, code="invalid_value", param="dimensions")
    check_room(len(body.input), engine, "input")
    tokenizer = engine.model.tokenizer
    head, tail = tokenizer.frame

    def read(index: int, most: int) -> array[int]:
        given = body.input[index]
        if isinstance(given, str):
            return head + tokenizer.text_only(given, most, wanted) + tail
        check_tokens(given, engine, f"input[{index}]")
        return given

    inputs = read_all(len(body.input), read, engine, "input")
    return _Asked(inputs, body.dimensions or engine.width, body.encoding_format == "base64")


def shortened(rows: NDArray[np.float32], dimensions: int) -> NDArray[np.float32]:
    """Return the first `dimensions` numbers of each row, scaled to length one; nothing but zeros stays as it is."""
    rows = rows[:, :dimensions]
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    scaled: NDArray[np.float32] = (rows / np.where(lengths > 0, lengths, 1)).astype("<f4")
    return scaled


def _parts(rows: NDArray[np.float32], asked: _Asked, model: str, tokens: int) -> Iterator[bytes]:
    """Yield the answer's JSON, some rows at a time: what is written takes five times what the numbers take."""
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    step = max(1, _AT_ONCE // rows.shape[1])
    yield b'{"object":"list","data":['
    for start in range(0, len(rows), step):
        entries = [
            {
                "object": "embedding",
                "index": start + offset,
                "embedding": base64.b64encode(row.tobytes()).decode() if asked.as_base64 else row.tolist(),
            }
            for offset, row in enumerate(shortened(rows[start : start + step], asked.dimensions))
        ]
        written = json.dumps(entries, separators=(",", ":"))[1:-1]
        yield ("," if start else "").encode() + written.encode()
    yield f'],"model":{json.dumps(model)},"usage":{json.dumps(usage)}}}'.encode()


class _VectorStream(StreamingResponse):
    """An answer that lets go of its vectors however it ends. It is written in threads, not in the event loop."""

    def __init__(self, evaluation: Evaluation, read_until: float, parts: Iterator[bytes]) -> None:
        super().__init__(parts, media_type=_JSON)
        self._evaluation = evaluation
        self._read_until = read_until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        left = self._read_until - time.monotonic()
        try:
            # A client that reads too slowly, or not at all, holds nothing for longer than its request may take.
            async with asyncio.timeout(left):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            self._evaluation.code = "timeout"
            log.warning("client did not read its vectors in time")
        finally:
            self._evaluation.close()
