"""The request bodies: OpenAI's fields that this worker acts on, each with its bounds.

A field that is not here is refused by name, and so is a value that this version does not act on: an answer that silently
ignores what was asked for is worse than none. Null means "not given", as OpenAI's clients send it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from slicewise_worker.engine.request import Sampling

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256


def _stops(value: Any) -> Any:
    """Accept one stop string or a list of them."""
    stops = [value] if isinstance(value, str) else value
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
        raise PydanticCustomError("stop", "must be a string or a list of strings")
    if len(stops) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in stops):
        raise PydanticCustomError(
            "stop", f"must hold at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARACTERS} characters"
        )
    return tuple(stops)


def _content(value: Any) -> Any:
    """Accept a text, or a list of text parts, which are joined."""
    if value is None or isinstance(value, str):
        return value or ""
    if not isinstance(value, list):
        raise PydanticCustomError("content", "must be a string or a list of text parts")
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
            raise PydanticCustomError("content", 'parts must look like {"type": "text", "text": "..."}')
        texts.append(part["text"])
    return "".join(texts)


def _prompts(value: Any) -> Any:
    """Accept a text, a list of texts, a list of tokens, or a list of lists of tokens."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and value:
        if all(type(token) is int for token in value):
            return (tuple(value),)
        if all(isinstance(prompt, str) for prompt in value):
            return tuple(value)
        if all(isinstance(prompt, list) and all(type(token) is int for token in prompt) for prompt in value):
            return tuple(tuple(prompt) for prompt in value)
    raise PydanticCustomError("prompt", "must be a string, a list of strings, or a list of token numbers")


def _unsupported(value: Any) -> Any:
    """Refuse what this version does not act on; null, false and empty ask for nothing."""
    if value is None or value is False or value in ({}, []):
        return None
    raise PydanticCustomError("unsupported", "is not supported by this worker; leave it out")


Unsupported = Annotated[None, BeforeValidator(_unsupported)]
Tokens = Annotated[int, Field(ge=1)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Message(_Closed):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[str, BeforeValidator(_content)]
    name: str | None = None
    refusal: None = None


class StreamOptions(_Closed):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class TextFormat(_Closed):
    """The only form of answer so far."""

    type: Literal["text"]


class _Generate(_Closed):
    """Fields that both endpoints share."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=1_000_000)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Tokens | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(_stops)] = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    logit_bias: Unsupported = None

    def sampling(self, choice: int) -> Sampling:
        """Return how the choice with this index is sampled; each choice of a seeded request has a seed of its own."""
        given = {
            name: value
            for name in ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty")
            if (value := getattr(self, name)) is not None
        }
        return Sampling(**given, seed=None if self.seed is None else self.seed + choice)


class ChatRequest(_Generate):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    max_completion_tokens: Tokens | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: Literal["auto", "default"] | None = None
    response_format: TextFormat | None = None
    logprobs: Unsupported = None
    top_logprobs: Unsupported = None
    tools: Unsupported = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None


class CompletionRequest(_Generate):
    """Body of `POST /v1/completions`."""

    prompt: Annotated[tuple[str | tuple[int, ...], ...], BeforeValidator(_prompts)]
    best_of: Literal[1] | None = None
    echo: Unsupported = None
    suffix: Unsupported = None
    logprobs: Unsupported = None
