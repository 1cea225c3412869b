"""From a prepared request to a whole answer or a stream of it, in the shape of its endpoint."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Chances, Finished, Generation, Piece
from slicewise_worker.engine.tokenizer import Tokenizer
from slicewise_worker.http.account import account_of
from slicewise_worker.http.answer import Answer, unless_gone
from slicewise_worker.http.caller import caller_of
from slicewise_worker.http.deadline import Deadline
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.shape import Logprobs, Shape
from slicewise_worker.http.trailer import mark_broken

log = structlog.get_logger(__name__)

HEARTBEAT_SECONDS = 15.0
"""A stream on which nothing came for so long says that it is alive."""
_HEARTBEAT: Final = b": ping\n\n"
_QUIET: Final = "quiet"
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_Item = tuple[int, Piece | Finished] | None | Literal["quiet"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that is ready for the engine. Nothing of its body waits with it: texts and fields have up to 16 MiB."""

    generations: Sequence[Generation]
    prompt_tokens: int
    stream: bool
    usage: bool
    """Whether a stream ends with its usage."""
    logprobs: bool = False
    """Whether the answer says how likely its tokens were."""
    tries: int = 1
    """Choices of each prompt that are generated."""
    best: int | None = None
    """Of each prompt's choices the answer has this many, those that the model held likeliest; None: all."""
    echoes: Sequence[str] = ()
    """The prompt's text for each choice, where the answer begins with it."""


async def respond(
    request: Request, engine: Engine, asked: Asked, deadline: Deadline, shape: Shape, name: str
) -> Response:
    """Generate what is asked for, and return it as a whole or as a stream; raises `ApiError`, and `ClientGoneError`."""
    answer = Answer(engine, asked.generations, asked.prompt_tokens, deadline.answer, caller_of(request.headers))
    account = account_of(request)
    account.model, account.work = name, answer
    head = {"id": f"{shape.prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": name}
    writer = _Writer(asked, shape, engine.model.tokenizer)
    streaming = False
    try:
        if not asked.stream:
            return await _whole(request, answer, writer, head)
        # Nothing is sent before the first token or heartbeat: until then a failure is an ordinary status that a gateway can retry.
        first = await unless_gone(request, _next(answer))
        streaming = True
        return AnswerStream(answer, deadline.read, _stream(answer, first, writer, head))
    finally:
        if not streaming:
            answer.close()


@dataclass(frozen=True, slots=True)
class _Writer:
    """Writes choices down."""

    asked: Asked
    shape: Shape
    tokenizer: Tokenizer

    def logprobs(self, index: int, chances: Sequence[Chances]) -> Logprobs:
        return self.shape.logprobs(index, chances, self.tokenizer) if self.asked.logprobs else None

    def deltas(self, index: int, event: Piece | Finished) -> list[dict[str, Any]]:
        reason = event.reason if isinstance(event, Finished) else None
        deltas = self.shape.deltas(index, event.text, reason, self.logprobs(index, event.chances))
        if isinstance(event, Finished) and deltas:
            deltas[-1] |= _stopped(event.stop)
        return deltas

    def whole(self, head: dict[str, Any], choices: Sequence[_Choice], usage: dict[str, Any]) -> JSONResponse:
        body = [
            self.shape.choice(index, choice.text, choice.reason, self.logprobs(index, choice.chances))
            | _stopped(choice.stop)
            for index, choice in enumerate(_best(choices, self.asked))
        ]
        return JSONResponse({**head, "object": self.shape.whole, "choices": body, "usage": usage})


def _stopped(stop: str | None) -> dict[str, Any]:
    """Return the field of a choice that says which stop string ended it, as vLLM names it."""
    return {} if stop is None else {"stop_reason": stop}


@dataclass(slots=True)
class _Choice:
    """One choice as it comes."""

    text: str = ""
    reason: str = ""
    stop: str | None = None
    chances: list[Chances] = field(default_factory=list)

    def likelihood(self) -> float:
        """Return the mean of its tokens' logarithms of probability: the sum would favour short answers."""
        return sum(place.logprob for place in self.chances) / max(1, len(self.chances))


def _best(choices: Sequence[_Choice], asked: Asked) -> Sequence[_Choice]:
    """Return the choices to answer with: of each prompt the likeliest first, where only some are asked for."""
    if asked.best is None:
        return choices
    groups = [choices[start : start + asked.tries] for start in range(0, len(choices), asked.tries)]
    return [choice for group in groups for choice in sorted(group, key=_Choice.likelihood, reverse=True)[: asked.best]]


async def _whole(request: Request, answer: Answer, writer: _Writer, head: dict[str, Any]) -> Response:
    choices = [_Choice() for _ in answer.generated]

    async def collect() -> None:
        while (item := await answer.next()) is not None:
            index, event = item
            choices[index].text += event.text
            choices[index].chances += event.chances
            if isinstance(event, Finished):
                choices[index].reason, choices[index].stop = event.reason, event.stop

    await unless_gone(request, collect())
    if writer.asked.logprobs or writer.shape.slow:
        # Of a long answer they are some megabytes: nothing for the event loop.
        return await asyncio.to_thread(writer.whole, head, choices, answer.usage())
    return writer.whole(head, choices, answer.usage())


class AnswerStream(StreamingResponse):
    """Server-sent events that give up the answer however they end, also before the first one was sent."""

    def __init__(self, answer: Answer, read_until: float, events: AsyncIterator[bytes]) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self.prompt_tokens = answer.prompt_tokens
        self.cached_tokens: Callable[[], int] = lambda: answer.cached_tokens
        self._answer = answer
        self._read_until = read_until

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events."""
        try:
            # A client that reads too slowly, or not at all, holds nothing for longer than its request may take.
            async with asyncio.timeout_at(self._read_until):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            self._answer.code = self._answer.code or "timeout"
            log.warning("client did not read the end of its stream in time")
        finally:
            self._answer.close()


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + _encode(body).encode() + b"\n\n"


async def _next(answer: Answer) -> _Item:
    """Return the next event, or that there was none for a while; raises `ApiError`."""
    return await answer.next_within(HEARTBEAT_SECONDS)


async def _stream(answer: Answer, first: _Item, writer: _Writer, head: dict[str, Any]) -> AsyncIterator[bytes]:
    head = {**head, "object": writer.shape.part}
    # What is the same in all chunks is written down once.
    begin = f'data: {_encode(head)[:-1]},"choices":['
    end = '],"usage":null}\n\n' if writer.asked.usage else "]}\n\n"
    try:
        for index in range(len(answer.generated)):
            if opening := writer.shape.opening(index):
                yield f"{begin}{_encode(opening)}{end}".encode()
        item = first
        while item is not None:
            if item == _QUIET:
                yield _HEARTBEAT
            else:
                for delta in writer.deltas(*item):
                    yield f"{begin}{_encode(delta)}{end}".encode()
            item = await _next(answer)
        if writer.asked.usage:
            yield _event({**head, "choices": [], "usage": answer.usage()})
        yield b"data: [DONE]\n\n"
    except ApiError as error:
        # The status is out already: an error event ends the stream, a trailer tells the gateway, and no [DONE] follows.
        mark_broken()
        yield _event(error.body())
