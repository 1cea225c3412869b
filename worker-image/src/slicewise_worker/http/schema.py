"""The request bodies: OpenAI's fields that this worker acts on, each with its bounds.

A field that is not here is refused by name, and so is a value that this version does not act on: an answer that silently
ignores what was asked for is worse than none. Null means "not given", also for a field that is not known. Fields that
change no answer (who asks, how it is billed or cached) are accepted, and so are values that ask for what is done anyway.

A client gets one error. So checking stops at the first: a body of 95,000 unknown fields costs one error.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    FailFast,
    Field,
    InstanceOf,
    model_validator,
)
from pydantic_core import PydanticCustomError

from slicewise_worker.chat.effort import Effort
from slicewise_worker.engine.request import Sampling
from slicewise_worker.http.closed import Closed
from slicewise_worker.http.format_fields import ResponseFormat
from slicewise_worker.http.schema_inputs import MAX_STOP_CHARACTERS, MAX_STOPS, PromptInput, StopInput, TextPart
from slicewise_worker.http.template_fields import template_variables
from slicewise_worker.http.tool_fields import (
    MOST_TOOLS,
    CallBefore,
    ChoiceInput,
    Tool,
    ToolChoice,
    as_tool_choice,
)

if TYPE_CHECKING:
    TokenArray = array[int]
else:
    TokenArray = array  # has no subscript at run time

MAX_ENTRIES = 16
MAX_BIASES = 300
MAX_LOGPROBS = 20
_TOKEN = re.compile(r"(0|[1-9][0-9]{0,8})")
MOST_ID = 256


def stops(value: Any) -> Any:
    """Accept one stop string or a list of them."""
    given = [value] if isinstance(value, str) else value
    if given is None:
        return ()
    if not isinstance(given, list) or not all(isinstance(stop, str) for stop in given[: MAX_STOPS + 1]):
        raise PydanticCustomError("stop", "must be a string or a list of strings")
    if len(given) > MAX_STOPS or not all(0 < len(stop) <= MAX_STOP_CHARACTERS for stop in given):
        raise PydanticCustomError(
            "stop", f"must hold at most {MAX_STOPS} strings of 1 to {MAX_STOP_CHARACTERS} characters"
        )
    return tuple(given)


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
            return (token_array(value),)
        if all(isinstance(prompt, str) for prompt in value):
            return tuple(value)
        if all(isinstance(prompt, list) and all(type(token) is int for token in prompt) for prompt in value):
            return tuple(map(token_array, value))
    raise PydanticCustomError("prompt", "must be a string, a list of strings, or a list of token numbers")


def token_array(numbers: list[int]) -> TokenArray:
    """Return the numbers as tokens, which no model may have; for validators."""
    try:
        return array("i", numbers)
    except OverflowError as error:
        raise PydanticCustomError("prompt", "holds a number that is no token of any model") from error


def _whole(value: Any) -> Any:
    """Take `8.0` for 8, as clients in languages with one type of number send it."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def few(value: Any) -> Any:
    """Refuse more entries than OpenAI takes of metadata before they are looked at."""
    if isinstance(value, dict | list) and len(value) > MAX_ENTRIES:
        raise PydanticCustomError("entries", f"must hold at most {MAX_ENTRIES} entries")
    return value


def _unsupported(value: Any) -> Any:
    """Refuse what this version does not act on; null, false and empty ask for nothing."""
    if value is None or value is False or value in ({}, [], ""):
        return None
    raise PydanticCustomError("unsupported", "is not supported by this worker; leave it out")


def _old_functions(value: Any) -> Any:
    if value is None or value in ({}, []):
        return None
    raise PydanticCustomError("functions", "is what OpenAI had before 'tools' and is not supported; use 'tools'")


Unsupported = Annotated[None, BeforeValidator(_unsupported)]
Whole = Annotated[int, BeforeValidator(_whole)]


def _limit(value: int) -> int:
    if value == 0 or value < -1:
        raise PydanticCustomError("limit", "must be greater than or equal to 1, or -1 for as many as there is room for")
    return value


Tokens = Annotated[Whole, AfterValidator(_limit)]
Neutral = Literal[1]
"""A factor that changes nothing."""


Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]


def _biases(value: Any) -> Any:
    """Refuse more entries than OpenAI takes before they are looked at, and keys that are no token of any model."""
    if isinstance(value, dict):
        if len(value) > MAX_BIASES:
            raise PydanticCustomError("entries", f"must hold at most {MAX_BIASES} entries")
        if (wrong := next((key for key in value if not _TOKEN.fullmatch(key)), None)) is not None:
            raise PydanticCustomError(
                "token", "must have numbers of tokens as keys, not {key}", {"key": repr(wrong[:20])}
            )
    return value


class Message(Closed):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str, BeforeValidator(_content, json_schema_input_type=str | list[TextPart] | None)]
    name: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    """What a model thought before it answered; for the chat template, which leaves most of it out of a conversation that goes on."""
    tool_calls: Annotated[list[CallBefore] | None, FailFast(), Field(max_length=MOST_TOOLS)] = None
    tool_call_id: Annotated[str, Field(min_length=1, max_length=MOST_ID)] | None = None
    function_call: Unsupported = None
    audio: Unsupported = None
    annotations: Unsupported = None

    @model_validator(mode="before")
    @classmethod
    def _calls_need_no_text(cls, value: Any) -> Any:
        """Take an answer that has calls and no text, whether its `content` is null or missing."""
        if isinstance(value, dict) and value.get("role") == "assistant" and value.get("tool_calls"):
            return {"content": None, **value}
        return value

    @model_validator(mode="after")
    def _of_its_role(self) -> Message:
        if (self.role == "tool") != (self.tool_call_id is not None):
            raise PydanticCustomError("tool_call_id", "needs 'tool_call_id' with the role 'tool', and with no other")
        if self.tool_calls and self.role != "assistant":
            raise PydanticCustomError("tool_calls", "may have 'tool_calls' with the role 'assistant' only")
        return self


class StreamOptions(Closed):
    """What a stream carries besides text."""

    include_usage: bool | None = None
    include_obfuscation: Literal[False] | None = None


class _Generate(Closed):
    """Fields that both endpoints share."""

    model: str
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    """0 leaves the most likely token alone."""
    top_k: Annotated[Whole, Field(ge=-1, le=1_000_000)] | None = None
    """0 and -1 keep all tokens."""
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[Whole, Field(ge=-(2**63), lt=2**63)] | None = None
    max_tokens: Tokens | None = None
    n: Annotated[Whole, Field(ge=1, le=128)] | None = None
    stop: Annotated[tuple[str, ...], BeforeValidator(stops, json_schema_input_type=StopInput)] = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    repeat_penalty: Neutral | None = None
    repetition_penalty: Neutral | None = None
    response_format: ResponseFormat | None = None
    logit_bias: Annotated[dict[str, Bias] | None, BeforeValidator(_biases)] = None
    """Token → what is added to its logit."""
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    cache_prompt: bool | None = None
    metadata: Annotated[dict[str, str] | None, BeforeValidator(few)] = None
    store: bool | None = None
    service_tier: str | None = None

    def sampling(self, choice: int) -> Sampling:
        """Return how the choice with this index is sampled; each choice of a seeded request has a seed of its own."""
        given: dict[str, Any] = {
            name: value
            for name in ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty")
            if (value := getattr(self, name)) is not None
        }
        if given.get("top_k") == -1:
            given["top_k"] = 0
        given["logit_bias"] = tuple((int(token), bias) for token, bias in (self.logit_bias or {}).items())
        return Sampling(**given, seed=None if self.seed is None else self.seed + choice)


class ChatRequest(_Generate):
    """Body of `POST /v1/chat/completions`."""

    messages: Annotated[list[Message], FailFast(), Field(min_length=1, max_length=10_000)]
    max_completion_tokens: Tokens | None = None
    modalities: Annotated[list[Literal["text"]] | None, BeforeValidator(few)] = None
    logprobs: bool | None = None
    top_logprobs: Annotated[Whole, Field(ge=0, le=MAX_LOGPROBS)] | None = None
    tools: Annotated[list[Tool] | None, FailFast(), Field(max_length=MOST_TOOLS)] = None
    tool_choice: Annotated[
        InstanceOf[ToolChoice] | None, BeforeValidator(as_tool_choice, json_schema_input_type=ChoiceInput)
    ] = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[None, BeforeValidator(_old_functions)] = None
    function_call: Literal["none", "auto"] | None = None
    chat_template_kwargs: Annotated[dict[str, Any] | None, BeforeValidator(template_variables)] = None
    reasoning_format: Literal["auto", "deepseek", "none"] | None = None
    """`none` leaves what the model thought in the text."""
    reasoning_effort: Effort | None = None
    verbosity: Literal["medium"] | None = None


class CompletionRequest(_Generate):
    """Body of `POST /v1/completions`."""

    prompt: Annotated[
        tuple[str | InstanceOf[TokenArray], ...], BeforeValidator(_prompts, json_schema_input_type=PromptInput)
    ]
    best_of: Annotated[Whole, Field(ge=1, le=128)] | None = None
    echo: bool | None = None
    suffix: str | None = None
    """What comes after the answer."""
    logprobs: Annotated[Whole, Field(ge=0, le=MAX_LOGPROBS)] | None = None
