"""`POST /v1/chat/completions` and `POST /v1/completions`: from a request body to an answer or a stream of it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Finished, Generation, Piece
from slicewise_worker.http.answer import Answer, ClientGoneError, unless_gone
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.errors import ApiError, from_validation
from slicewise_worker.http.schema import ChatRequest, CompletionRequest
from slicewise_worker.http.shape import ChatShape, CompletionShape, Shape

Body = TypeVar("Body", bound=BaseModel)

DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's default for `/v1/completions`."""


@dataclass(frozen=True, slots=True)
class Served:
    """What the endpoints serve: one model on one engine."""

    model_name: str
    """The name in answers."""
    names: frozenset[str]
    """What clients may send as `model`: the name and its aliases."""
    engine: Engine
    template: ChatTemplate
    max_body_bytes: int


async def read_body(request: Request, kind: type[Body], limit: int) -> Body:
    """Return the validated body; raises `ApiError` when it is too large, no JSON, or has a wrong field."""
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > limit:
            raise ApiError(413, f"The body is larger than {limit} bytes.", code="body_too_large")
    try:
        return kind.model_validate_json(bytes(data))
    except ValidationError as error:
        raise from_validation(error) from error


async def chat(request: Request, served: Served) -> Response:
    """Answer a conversation."""
    body = await read_body(request, ChatRequest, served.max_body_bytes)
    _check_model(body.model, served)

    def tokenize() -> tuple[int, ...]:
        return tuple(served.engine.model.tokenize(served.template.render(body.messages)))

    prompt = await asyncio.to_thread(tokenize)
    _check_prompt(prompt, served.engine, "messages")
    limit = body.max_completion_tokens or body.max_tokens or served.engine.limits.context_tokens
    return await _answer(request, served, body, [prompt], limit, ChatShape())


async def completion(request: Request, served: Served) -> Response:
    """Continue one or more prompts."""
    body = await read_body(request, CompletionRequest, served.max_body_bytes)
    _check_model(body.model, served)
    model = served.engine.model

    def tokenize() -> list[tuple[int, ...]]:
        return [tuple(model.tokenize(prompt)) if isinstance(prompt, str) else prompt for prompt in body.prompt]

    prompts = await asyncio.to_thread(tokenize)
    for prompt in prompts:
        _check_prompt(prompt, served.engine, "prompt")
    return await _answer(
        request, served, body, prompts, body.max_tokens or DEFAULT_COMPLETION_TOKENS, CompletionShape()
    )


def _check_model(name: str, served: Served) -> None:
    if name not in served.names:
        message = f"The model '{name}' does not exist here; this worker serves '{served.model_name}'."
        raise ApiError(404, message, code="model_not_found", param="model")


def _check_prompt(prompt: Sequence[int], engine: Engine, param: str) -> None:
    if not prompt:
        raise ApiError(400, f"Invalid '{param}': it holds no token.", code="invalid_value", param=param)
    context = engine.limits.context_tokens
    if len(prompt) >= context:
        message = (
            f"The prompt has {len(prompt)} tokens, and the context of this model is {context} tokens, "
            "at least one of which is for the answer. Shorten the prompt."
        )
        raise ApiError(400, message, code="context_length_exceeded", param=param)
    if (wrong := next((token for token in prompt if not 0 <= token < engine.model.vocabulary), None)) is not None:
        message = f"Invalid '{param}': {wrong} is no token of this model (0 to {engine.model.vocabulary - 1})."
        raise ApiError(400, message, code="invalid_value", param=param)


async def _answer(
    request: Request,
    served: Served,
    body: ChatRequest | CompletionRequest,
    prompts: Sequence[tuple[int, ...]],
    limit: int,
    shape: Shape,
) -> Response:
    choices = body.n or 1
    most = served.engine.limits.sequences
    if choices * len(prompts) > most:
        param = "n" if choices > 1 else "prompt"
        message = f"Invalid '{param}': {choices * len(prompts)} answers at once, this worker gives at most {most}."
        raise ApiError(400, message, code="invalid_value", param=param)
    generations = [
        Generation(prompt, limit, body.sampling(choice), body.stop) for prompt in prompts for choice in range(choices)
    ]
    answer = Answer(served.engine, generations, sum(map(len, prompts)))
    head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.model_name}
    streaming = False
    try:
        if not body.stream:
            return await _whole(request, answer, shape, head)
        usage = bool(body.stream_options and body.stream_options.include_usage)
        # Nothing is sent before the first token: until then a failure is an ordinary status that a gateway can retry.
        first = await unless_gone(request, answer.next())
        streaming = True
        return _AnswerStream(answer, _stream(answer, first, shape, head, usage=usage))
    except (ClientGoneError, ClientDisconnect):
        return Response(status_code=499)
    finally:
        if not streaming:
            answer.close()


async def _whole(request: Request, answer: Answer, shape: Shape, head: dict[str, Any]) -> Response:
    texts = [""] * len(answer.generated)
    reasons = [""] * len(answer.generated)

    async def collect() -> None:
        while (item := await answer.next()) is not None:
            index, event = item
            texts[index] += event.text
            if isinstance(event, Finished):
                reasons[index] = event.reason

    await unless_gone(request, collect())
    choices = [shape.choice(*parts) for parts in zip(range(len(texts)), texts, reasons, strict=True)]
    return JSONResponse({**head, "object": shape.whole, "choices": choices, "usage": answer.usage()})


class _AnswerStream(StreamingResponse):
    """Server-sent events that give up the answer however they end, also before the first one was sent."""

    def __init__(self, answer: Answer, events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._answer.close()


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


async def _stream(
    answer: Answer, first: tuple[int, Piece | Finished] | None, shape: Shape, head: dict[str, Any], *, usage: bool
) -> AsyncIterator[bytes]:
    head = {**head, "object": shape.part}
    extra = {"usage": None} if usage else {}
    try:
        for index in range(len(answer.generated)):
            if opening := shape.opening(index):
                yield _event({**head, "choices": [opening], **extra})
        item = first
        while item is not None:
            index, event = item
            reason = event.reason if isinstance(event, Finished) else None
            for delta in shape.deltas(index, event.text, reason):
                yield _event({**head, "choices": [delta], **extra})
            item = await answer.next()
        if usage:
            yield _event({**head, "choices": [], "usage": answer.usage()})
        yield b"data: [DONE]\n\n"
    except ApiError as error:
        # The status is out already: an error event ends the stream, and no [DONE] follows.
        yield _event(error.body())
