"""`POST /v1/chat/completions` and `POST /v1/completions`: from a request body to an answer or a stream of it."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from slicewise_worker.engine.loop import Engine
from slicewise_worker.engine.request import Generation
from slicewise_worker.engine.tokenizer import TooLongError
from slicewise_worker.http.errors import ApiError, from_validation
from slicewise_worker.http.format_fields import ResponseFormat
from slicewise_worker.http.intake import Wanted
from slicewise_worker.http.response import Asked, respond
from slicewise_worker.http.response_format import constraint_for
from slicewise_worker.http.schema import ChatRequest, CompletionRequest
from slicewise_worker.http.served import Served, check_model
from slicewise_worker.http.shape import CompletionShape, Shape
from slicewise_worker.http.spoken import read_for_calls
from slicewise_worker.http.tools import ToolUse, in_form, reading_for, tool_use, without_thoughts

Body = TypeVar("Body", bound=BaseModel)

DEFAULT_COMPLETION_TOKENS = 16
"""OpenAI's default for `/v1/completions`."""
_COUNTED_CONTEXTS = 4
"""How many times the context a conversation may have whose tokens are only counted."""


def parse(data: bytes, kind: type[Body]) -> Body:
    """Return the validated body; raises `ApiError` when it is no JSON, or has a wrong field."""
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        refused = from_validation(error)
    # Not from the error, which holds what was wrong, and that is as large as the body.
    raise refused


def read_chat(data: bytes) -> ChatRequest:
    """Return the chat request in a body; raises `ApiError`."""
    return parse(data, ChatRequest)


ReadChat = Callable[[bytes], ChatRequest]
"""From a body to a chat request; raises `ApiError`."""


async def chat(request: Request, served: Served, read: ReadChat = read_chat) -> Response:
    """Answer a conversation: `AnswerStream` where it is streamed. `read`: from the body to what is asked."""

    def prepare(data: bytes, wanted: Wanted) -> tuple[Asked, Shape]:
        body = read(data)
        check_model(body.model, served)
        _check_count(body, 1, served.engine)
        _check_bias(body, served.engine)
        use = tool_use(body)
        text = _render(body, use, served, served.engine.limits.context_tokens)
        prompt = _tokenize(text, served.engine, "messages", wanted)
        most_tokens = body.max_completion_tokens or body.max_tokens
        form = body.response_format if in_form(body, use) else None
        asked = _asked(body, [prompt], _limit(most_tokens, served.engine.limits.context_tokens, served), served, form)
        return read_for_calls(asked, reading_for(body, use, served.template, text), served.engine.model)

    deadline = served.intake.deadline(request)
    asked, shape = await served.intake.prepare(request, deadline.answer, prepare)
    return await respond(request, served.engine, asked, deadline, shape, served.name(asked))


async def count_prompt(request: Request, served: Served, read: ReadChat) -> int:
    """Return how many tokens the prompt of a conversation has; it may be longer than the context."""

    def prepare(data: bytes, wanted: Wanted) -> int:
        body = read(data)
        check_model(body.model, served)
        most = _COUNTED_CONTEXTS * served.engine.limits.context_tokens
        text = _render(body, tool_use(body), served, most)
        try:
            return len(served.engine.model.tokenizer.tokenize(text, most, wanted))
        except TooLongError as error:
            raise _too_long(error.at_least, served.engine, "messages") from error

    return await served.intake.prepare(request, served.intake.deadline(request).answer, prepare)


def _render(body: ChatRequest, use: ToolUse, served: Served, most: int) -> str:
    """Return the prompt of a conversation as text; raises `ApiError`, for one that cannot fit `most` tokens before it is rendered."""
    longest = served.engine.model.tokenizer.longest
    if (size := sum(len(message.content) for message in body.messages)) > most * longest:
        raise _too_long(-(-size // longest), served.engine, "messages")
    text = served.template.render(body.messages, use.described(), body.chat_template_kwargs, body.reasoning_effort)
    if in_form(body, use):
        return served.template.for_content(text)
    return served.template.without_thoughts(text) if without_thoughts(body, use) else text


async def completion(request: Request, served: Served) -> Response:
    """Continue one or more prompts."""

    def prepare(data: bytes, wanted: Wanted) -> Asked:
        body = parse(data, CompletionRequest)
        check_model(body.model, served)
        _check_count(body, len(body.prompt), served.engine)
        _check_bias(body, served.engine)
        _check_choices(body)
        prompts = [
            _tokenize(_infill(prompt, body.suffix, served.engine), served.engine, "prompt", wanted)
            if isinstance(prompt, str)
            else prompt
            for prompt in body.prompt
        ]
        for prompt in prompts:
            _check_prompt(prompt, served.engine, "prompt")
        limit = _limit(body.max_tokens, DEFAULT_COMPLETION_TOKENS, served)
        asked = _asked(body, prompts, limit, served, body.response_format)
        return replace(asked, echoes=_echoes(body, prompts, served.engine))

    deadline = served.intake.deadline(request)
    asked = await served.intake.prepare(request, deadline.answer, prepare)
    shape = CompletionShape(asked.echoes)
    return await respond(request, served.engine, asked, deadline, shape, served.name(asked))


def _limit(asked: int | None, default: int, served: Served) -> int:
    """Return the tokens to generate at most; -1 asks for as many as the context has room for."""
    return served.engine.limits.context_tokens if asked == -1 else asked or default


def _check_count(body: ChatRequest | CompletionRequest, prompts: int, engine: Engine) -> None:
    """Refuse more answers than there are slots, before any prompt is tokenized."""
    choices, _ = _tries(body)
    if choices * prompts > engine.limits.sequences:
        param = "best_of" if choices > (body.n or 1) else "n" if choices > 1 else "prompt"
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


def _infill(prompt: str, suffix: str | None, engine: Engine) -> str:
    """Return the text for an answer that goes between `prompt` and `suffix`; raises `ApiError` where the model cannot."""
    if not suffix:
        return prompt
    marks = engine.model.tokenizer.infill
    if marks is None:
        message = "Invalid 'suffix': this model has no tokens for what comes after an answer. Leave it out."
        raise ApiError(400, message, code="invalid_value", param="suffix")
    before, after, middle = marks
    return f"{before}{prompt}{after}{suffix}{middle}"


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


def _logprobs(body: ChatRequest | CompletionRequest) -> int | None:
    """Return how many of the likeliest tokens are asked for at each place, None for no probabilities."""
    if isinstance(body, CompletionRequest):
        return body.logprobs
    if body.top_logprobs and not body.logprobs:
        message = f"Invalid 'top_logprobs': {body.top_logprobs} needs 'logprobs': true."
        raise ApiError(400, message, code="invalid_value", param="top_logprobs")
    return body.top_logprobs or 0 if body.logprobs else None


def _check_bias(body: ChatRequest | CompletionRequest, engine: Engine) -> None:
    size = engine.model.vocabulary
    if (wrong := next((token for token in body.logit_bias or () if int(token) >= size), None)) is not None:
        message = f"Invalid 'logit_bias': {wrong} is no token of this model (0 to {size - 1})."
        raise ApiError(400, message, code="invalid_value", param="logit_bias")


def _asked(
    body: ChatRequest | CompletionRequest,
    prompts: Sequence[array[int]],
    limit: int,
    served: Served,
    form: ResponseFormat | None,
) -> Asked:
    logprobs = _logprobs(body)
    tries, best = _tries(body)
    constraint = constraint_for(form, served.engine.model.grammars)
    generations = [
        Generation(
            prompt,
            limit,
            body.sampling(choice),
            body.stop,
            constraint and constraint.copy(),
            # What is likeliest can only be told with probabilities.
            0 if logprobs is None and best else logprobs,
            adapter=served.adapter(body.model),
        )
        for prompt in prompts
        for choice in range(tries)
    ]
    usage = bool(body.stream_options and body.stream_options.include_usage)
    return Asked(generations, sum(map(len, prompts)), bool(body.stream), usage, logprobs is not None, tries, best)


def _tries(body: ChatRequest | CompletionRequest) -> tuple[int, int | None]:
    """Return how many choices to generate for each prompt, and how many of them to answer with, None for all."""
    choices = body.n or 1
    tries = getattr(body, "best_of", None) or choices
    return tries, choices if tries > choices else None


def _echoes(body: CompletionRequest, prompts: Sequence[array[int]], engine: Engine) -> tuple[str, ...]:
    """Return the text of the prompt for each choice, where the answer is to begin with it."""
    if not body.echo:
        return ()
    tokenizer = engine.model.tokenizer
    texts = [
        given if isinstance(given, str) else b"".join(map(tokenizer.written, tokens)).decode("utf-8", "replace")
        for given, tokens in zip(body.prompt, prompts, strict=True)
    ]
    return tuple(text for text in texts for _ in range(body.n or 1))


def _check_choices(body: CompletionRequest) -> None:
    """Refuse what does not go together."""
    tries, best = _tries(body)
    if tries < (body.n or 1):
        message = f"Invalid 'best_of': {tries} is less than 'n', which is {body.n}."
        raise ApiError(400, message, code="invalid_value", param="best_of")
    if best and body.stream:
        message = "Invalid 'best_of': a stream cannot be taken back, so leave out 'stream' or 'best_of'."
        raise ApiError(400, message, code="invalid_value", param="best_of")
    if body.echo and body.logprobs is not None:
        message = (
            "Invalid 'echo': this worker has no probabilities of a prompt's tokens, so leave out 'echo' or 'logprobs'."
        )
        raise ApiError(400, message, code="invalid_value", param="echo")
    if body.suffix and not all(isinstance(prompt, str) for prompt in body.prompt):
        message = "Invalid 'suffix': it needs a prompt in text, not in tokens."
        raise ApiError(400, message, code="invalid_value", param="suffix")
    if body.echo and body.suffix:
        message = "Invalid 'echo': the prompt of an answer before a 'suffix' is not its beginning."
        raise ApiError(400, message, code="invalid_value", param="echo")
