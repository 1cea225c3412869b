"""`POST /v1/chat/completions` and `POST /v1/completions`: from a request body to an answer or a stream of it."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from array import array
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Finished, Generation, Piece
from slicewise_worker.engine.tokenizer import TooLongError
from slicewise_worker.http.answer import Answer, unless_gone
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.deadline import Deadline
from slicewise_worker.http.errors import ApiError, from_validation, shown
from slicewise_worker.http.intake import Intake, Wanted
from slicewise_worker.http.response_format import constraint_for
from slicewise_worker.http.schema import ChatRequest, CompletionRequest
from slicewise_worker.http.shape import ChatShape, CompletionShape, Shape
from slicewise_worker.http.trailer import mark_broken

log = structlog.get_logger(__name__)

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
    intake: Intake


def parse(data: bytes, kind: type[Body]) -> Body:
    """Return the validated body; raises `ApiError` when it is no JSON, or has a wrong field."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        refused = from_validation(error)
    # Not from the error, which holds what was wrong, and that is as large as the body.
    raise refused


async def chat(request: Request, served: Served) -> Response:
    """Answer a conversation."""

    def prepare(data: bytes, wanted: Wanted) -> _Asked:
        body = parse(data, ChatRequest)
        _check_model(body.model, served)
        _check_count(body, 1, served.engine)
        most = served.engine.limits.context_tokens * served.engine.model.tokenizer.longest
        if (size := sum(len(message.content) for message in body.messages)) > most:
            raise _too_long(-(-size // served.engine.model.tokenizer.longest), served.engine, "messages")
        prompt = _tokenize(served.template.render(body.messages), served.engine, "messages", wanted)
        most_tokens = body.max_completion_tokens or body.max_tokens
        return _asked(body, [prompt], _limit(most_tokens, served.engine.limits.context_tokens, served), served)

    deadline = served.intake.deadline(request)
    asked = await served.intake.prepare(request, deadline.answer, prepare)
    return await _answer(request, served, asked, deadline, ChatShape())


async def completion(request: Request, served: Served) -> Response:
    """Continue one or more prompts."""

    def prepare(data: bytes, wanted: Wanted) -> _Asked:
        body = parse(data, CompletionRequest)
        _check_model(body.model, served)
        _check_count(body, len(body.prompt), served.engine)
        prompts = [
            _tokenize(prompt, served.engine, "prompt", wanted) if isinstance(prompt, str) else prompt
            for prompt in body.prompt
        ]
        for prompt in prompts:
            _check_prompt(prompt, served.engine, "prompt")
        return _asked(body, prompts, _limit(body.max_tokens, DEFAULT_COMPLETION_TOKENS, served), served)

    deadline = served.intake.deadline(request)
    asked = await served.intake.prepare(request, deadline.answer, prepare)
    return await _answer(request, served, asked, deadline, CompletionShape())


def _limit(asked: int | None, default: int, served: Served) -> int:
    """Return the tokens to generate at most; -1 asks for as many as the context has room for."""
    return served.engine.limits.context_tokens if asked == -1 else asked or default


def _check_model(name: str, served: Served) -> None:
    if name not in served.names:
        message = f"The model '{shown(name)}' does not exist here; this worker serves '{served.model_name}'."
        raise ApiError(404, message, code="model_not_found", param="model")


def _check_count(body: ChatRequest | CompletionRequest, prompts: int, engine: Engine) -> None:
    """Refuse more answers than there are slots, before any prompt is tokenized."""
    choices = body.n or 1
    if choices * prompts > engine.limits.sequences:
        param = "n" if choices > 1 else "prompt"
        most = engine.limits.sequences
        message = f"Invalid '{param}': {choices * prompts} answers at once, this worker gives at most {most}."
        raise ApiError(400, message, code="invalid_value", param=param)


def _tokenize(text: str, engine: Engine, param: str, wanted: Wanted) -> array[int]:
    """Return the tokens of a prompt that fits; raises `ApiError`, for one that cannot fit before it is tokenized."""
    try:
        tokens = engine.model.tokenizer.tokenize(text, engine.limits.context_tokens - 1, wanted)
    except TooLongError as error:
        raise _too_long(error.at_least, engine, param) from error
    _check_prompt(tokens, engine, param)
    return tokens


def _too_long(at_least: int, engine: Engine, param: str) -> ApiError:
    context = engine.limits.context_tokens
    message = (
        f"The prompt has {at_least} tokens or more, and the context of this model is {context} tokens, "
        "at least one of which is for the answer. Shorten the prompt."
    )
    return ApiError(400, message, code="context_length_exceeded", param=param)


def _check_prompt(prompt: Sequence[int], engine: Engine, param: str) -> None:
    if not prompt:
        raise ApiError(400, f"Invalid '{param}': it holds no token.", code="invalid_value", param=param)
    if len(prompt) >= engine.limits.context_tokens:
        raise _too_long(len(prompt), engine, param)
    if (wrong := next((token for token in prompt if not 0 <= token < engine.model.vocabulary), None)) is not None:
        message = f"Invalid '{param}': {wrong} is no token of this model (0 to {engine.model.vocabulary - 1})."
        raise ApiError(400, message, code="invalid_value", param=param)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is ready for the engine. Nothing of its body waits with it: texts and fields have up to 16 MiB."""

    generations: Sequence[Generation]
    prompt_tokens: int
    stream: bool
    usage: bool
    """Whether a stream ends with its usage."""


def _asked(body: ChatRequest | CompletionRequest, prompts: Sequence[array[int]], limit: int, served: Served) -> _Asked:
    constraint = constraint_for(body.response_format, served.engine.model.grammars)
    generations = [
        Generation(prompt, limit, body.sampling(choice), body.stop, constraint and constraint.copy())
        for prompt in prompts
        for choice in range(body.n or 1)
    ]
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return _Asked(generations, sum(map(len, prompts)), bool(body.stream), usage)


async def _answer(request: Request, served: Served, asked: _Asked, deadline: Deadline, shape: Shape) -> Response:
    answer = Answer(served.engine, asked.generations, asked.prompt_tokens, deadline.answer)
    head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": served.model_name}
    streaming = False
    try:
        if not asked.stream:
            return await _whole(request, answer, shape, head)
        # Nothing is sent before the first token: until then a failure is an ordinary status that a gateway can retry.
        first = await unless_gone(request, answer.next())
        streaming = True
        return _AnswerStream(answer, deadline.read, _stream(answer, first, shape, head, usage=asked.usage))
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

    def __init__(self, answer: Answer, read_until: float, events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._answer = answer
        self._read_until = read_until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            # A client that reads too slowly, or not at all, holds nothing for longer than its request may take.
            async with asyncio.timeout_at(self._read_until):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("client did not read the end of its stream in time")
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
        # The status is out already: an error event ends the stream, a trailer tells the gateway, and no [DONE] follows.
        mark_broken()
        yield _event(error.body())
