"""Fields of OpenAI's `POST /v1/responses`, each with its bounds.

Nothing is kept between two requests, so what refers to earlier ones is refused.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, FailFast, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.chat.effort import Effort
from slicewise_worker.http.closed import Closed
from slicewise_worker.http.custom_fields import Syntax
from slicewise_worker.http.dialects.typed import Typed
from slicewise_worker.http.schema import Tokens, Unsupported, few

MAX_ITEMS: Final = 10_000

ItemType = Literal[
    "message", "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output", "reasoning"
]
PartType = Literal["input_text", "output_text", "text", "refusal", "summary_text", "reasoning_text"]
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
    "custom_tool_call": ("call_id", "name", "input"),
    "custom_tool_call_output": ("call_id", "output"),
    "reasoning": (),
}


def _items(value: Any) -> Any:
    """Take a text for a list of one message."""
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("input", "must be a string or a list of items")
    return value


def _parts(value: Any) -> Any:
    """Take a text for a list of one part, and null for none."""
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if value is not None and not isinstance(value, list):
        raise PydanticCustomError("content", "must be a string or a list of parts")
    return value or []


class Part(Typed):
    """One part of a message, a tool's result or a thought."""

    types = get_args(PartType)
    type: PartType
    text: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None

    @model_validator(mode="after")
    def _has_text(self) -> Part:
        if (self.refusal if self.type == "refusal" else self.text) is None:
            raise PydanticCustomError("part", f"a part of the type '{self.type}' needs its text")
        return self


Parts = Annotated[list[Part], FailFast(), BeforeValidator(_parts, json_schema_input_type=str | list[Part] | None)]


class Item(Typed):
    """One item of the conversation; which fields it needs depends on its type."""

    types = get_args(ItemType)
    type: ItemType | None = None
    """None: a message."""
    role: Literal["user", "assistant", "system", "developer"] | None = None
    content: Parts = Field(default_factory=list)
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: Parts = Field(default_factory=list)
    summary: Parts = Field(default_factory=list)
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None

    @property
    def kind(self) -> ItemType:
        """What it is."""
        return self.type or "message"

    @model_validator(mode="after")
    def _is_whole(self) -> Item:
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        if missing := next((name for name in _NEEDS[self.kind] if name not in given), None):
            raise PydanticCustomError("item", f"an item of the type '{self.kind}' needs '{missing}'")
        return self


ItemsInput = str | Annotated[list[Item], Field(min_length=1, max_length=MAX_ITEMS)]


class ToolFormat(Closed):
    """The form of a custom tool's input."""

    type: Literal["text", "grammar"]
    syntax: Syntax | None = None
    definition: str | None = None


class Function(Typed):
    """A tool that the client runs."""

    types = ("function", "custom")
    type: Literal["function", "custom"]
    name: str
    format: ToolFormat | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    defer_loading: Literal[False] | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Function:
        wrong = ("parameters", "strict") if self.type == "custom" else ("format",)
        if odd := next((name for name in wrong if getattr(self, name) is not None), None):
            raise PydanticCustomError("tool", f"a tool of the type '{self.type}' has no '{odd}'")
        return self


_LEFT_OUT: Final = ("web_search", "image_generation")


def _left_out(tool: Any) -> Any:
    """Return None for a tool that OpenAI runs itself and that coding agents offer with every request."""
    if tool is None:
        raise PydanticCustomError("tool", "must be a tool")
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind == "local_shell":
        words = "the type 'local_shell' is not supported here: offer the shell as a function"
        raise PydanticCustomError("tool", words)
    return None if isinstance(kind, str) and kind.startswith(_LEFT_OUT) else tool


Offered = Annotated[Function | None, BeforeValidator(_left_out)]
"""A tool; None for one that the model does not hear of. It is an offer that no model has to take."""


class FunctionChoice(Closed):
    """The one tool to call."""

    type: Literal["function", "custom"]
    name: str


class Format(Closed):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    definition: Annotated[dict[str, Any] | None, Field(alias="schema")] = None
    strict: bool | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Format:
        if (self.type == "json_schema") != (self.name is not None and self.definition is not None):
            raise PydanticCustomError(
                "format", "needs 'name' and 'schema' with the type 'json_schema', and with no other"
            )
        return self


class TextConfig(Closed):
    """How the answer is to be."""

    format: Format | None = None
    verbosity: Literal["medium"] | None = None


class Reasoning(Closed):
    """How much the model is to think. `summary` changes nothing: an answer has all that the model thought."""

    effort: Effort | None = None
    summary: str | None = None
    generate_summary: str | None = None


class ResponseStreamOptions(Closed):
    """What a stream carries besides events."""

    include_obfuscation: Literal[False] | None = None


Label = Annotated[str, StringConstraints(max_length=64)]
Remark = Annotated[str, StringConstraints(max_length=512)]


class ResponseRequest(Closed):
    """Body of `POST /v1/responses`."""

    model: str
    input: Annotated[
        list[Item],
        FailFast(),
        Field(min_length=1, max_length=MAX_ITEMS),
        BeforeValidator(_items, json_schema_input_type=ItemsInput),
    ]
    instructions: str | None = None
    max_output_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    stream: bool | None = None
    stream_options: ResponseStreamOptions | None = None
    text: TextConfig | None = None
    tools: list[Offered] | None = None
    tool_choice: Literal["none", "auto", "required"] | FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    reasoning: Reasoning | None = None
    include: Annotated[list[Literal["reasoning.encrypted_content"]] | None, BeforeValidator(few)] = None
    """There is nothing to encrypt: an answer has all that the model thought."""
    metadata: Annotated[dict[Label, Remark] | None, BeforeValidator(few)] = None
    truncation: Literal["disabled"] | None = None
    top_logprobs: Literal[0] | None = None
    store: bool | None = None
    """Nothing is stored, and each answer says so."""
    user: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_retention: str | None = None
    service_tier: str | None = None
    previous_response_id: Unsupported = None
    conversation: Unsupported = None
    background: Unsupported = None
    prompt: Unsupported = None
    context_management: Unsupported = None
    max_tool_calls: Unsupported = None
