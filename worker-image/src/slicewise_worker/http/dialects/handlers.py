"""`POST /v1/messages`, `POST /v1/messages/count_tokens` and `POST /v1/responses`: the chat endpoint, with a translation around it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from slicewise_worker.http.completions import chat, count_prompt, parse
from slicewise_worker.http.dialects import messages_answer, messages_chat, responses_answer, responses_chat
from slicewise_worker.http.dialects.messages_answer import Events, Json, MessageEvents
from slicewise_worker.http.dialects.messages_request import CountRequest, MessagesRequest
from slicewise_worker.http.dialects.responses_answer import Echo, ResponseEvents
from slicewise_worker.http.dialects.responses_request import ResponseRequest
from slicewise_worker.http.errors import anthropic_error, from_validation
from slicewise_worker.http.response import AnswerStream
from slicewise_worker.http.schema import ChatRequest
from slicewise_worker.http.served import Served

_DATA: Final = b"data: "


async def messages(request: Request, served: Served) -> Response:
    """Answer a conversation in Anthropic's form."""
    thinking: list[bool] = []

    def read(data: bytes) -> ChatRequest:
        body = parse(data, MessagesRequest)
        thinking.append(body.thinking is not None and body.thinking.shown)
        return _chat_request(messages_chat.to_chat(body))

    response = await chat(request, served, read)
    shown = thinking[-1]
    if isinstance(response, AnswerStream):
        events = MessageEvents(response.prompt_tokens, response.cached_tokens, thinking=shown)
        response.body_iterator = _rewritten(
            response.body_iterator, events.chunk, _broken, _event("ping", {"type": "ping"})
        )
        return response
    return JSONResponse(messages_answer.whole(json.loads(bytes(response.body)), thinking=shown))


async def count_tokens(request: Request, served: Served) -> Response:
    """Say how many tokens the prompt of a conversation in Anthropic's form has."""

    def read(data: bytes) -> ChatRequest:
        return _chat_request(messages_chat.to_chat(parse(data, CountRequest)))

    return JSONResponse({"input_tokens": await count_prompt(request, served, read)})


async def responses(request: Request, served: Served) -> Response:
    """Answer in the form of OpenAI's Responses API."""
    echoes: list[Echo] = []

    def read(data: bytes) -> ChatRequest:
        body = parse(data, ResponseRequest)
        echoes.append(Echo.of(body))
        return _chat_request(responses_chat.to_chat(body))

    response = await chat(request, served, read)
    echo = echoes[-1]
    if isinstance(response, AnswerStream):
        events = ResponseEvents(echo)
        response.body_iterator = _rewritten(response.body_iterator, events.chunk, events.failed, None)
        return response
    return JSONResponse(responses_answer.whole(json.loads(bytes(response.body)), echo))


def _chat_request(fields: Json) -> ChatRequest:
    """Return the chat request with these fields; raises `ApiError` for what a chat cannot be asked."""
    try:
        return ChatRequest.model_validate(fields)
    except ValidationError as error:
        refused = from_validation(error)
    raise refused


def _broken(error: Json) -> Events:
    yield "error", anthropic_error(500, error["message"])


async def _rewritten(
    chunks: Any, events: Callable[[Json], Events], failed: Callable[[Json], Events], ping: bytes | None
) -> AsyncIterator[bytes]:
    """Yield a chat's stream in another form. `ping`: what a heartbeat becomes, None where it stays as it is."""
    async for item in chunks:
        if not item.startswith(_DATA):
            yield ping or item
        elif not item.startswith(b"[DONE]", len(_DATA)):
            chunk = json.loads(item[len(_DATA) :])
            for name, data in failed(chunk["error"]) if "error" in chunk else events(chunk):
                yield _event(name, data)


def _event(name: str, data: Json) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        name.encode(),
        json.dumps(data, ensure_ascii=False, separators=(",", ":")).encode(),
    )
