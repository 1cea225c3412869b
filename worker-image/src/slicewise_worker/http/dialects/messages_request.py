"""Anthropic's request bodies: fields of `POST /v1/messages` and `POST /v1/messages/count_tokens`, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, FailFast, Field, model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed
from slicewise_worker.http.dialects.typed import Typed
from slicewise_worker.http.schema import Unsupported, Whole, stops
from slicewise_worker.http.schema_inputs import StopInput

MAX_MESSAGES: Final = 10_000
MAX_EDITS: Final = 16

BlockType = Literal["text", "tool_use", "tool_result", "thinking", "redacted_thinking"]
_NEEDS: Final[dict[str, tuple[str, ...]]] = {
    "text": ("text",),
    "tool_use": ("id", "name", "input"),
    "tool_result": ("tool_use_id",),
    "thinking": ("thinking",),
    "redacted_thinking": (),
}
_WRITTEN_BY: Final = {
    "tool_use": "assistant",
    "thinking": "assistant",
    "redacted_thinking": "assistant",
    "tool_result": "user",
}


def _blocks(value: Any) -> Any:
    """Take a text for a list of one block, and null for none."""
    if value is None:
        return []
    if isinstance(value, str):
        return [{"type": "text", "text": value}]
    if not isinstance(value, list):
        raise PydanticCustomError("content", "must be a string or a list of content blocks")
    return value


class CacheControl(Closed):
    """Where Anthropic would keep a prompt: changes no answer."""

    type: Literal["ephemeral"]
    ttl: str | None = None


class Block(Typed):
    """One part of a message; which fields it needs depends on its type."""

    types = get_args(BlockType)
    type: BlockType
    text: str | None = None
    citations: Unsupported = None
    id: str | None = None
    name: str | None = None
    input: dict[str, Any] | None = None
    caller: dict[str, Any] | None = None
    tool_use_id: str | None = None
    content: Annotated[
        list[Block], FailFast(), BeforeValidator(_blocks, json_schema_input_type="str | list[Block] | None")
    ] = Field(default_factory=list)
    is_error: bool | None = None
    thinking: str | None = None
    """Templates leave it out of a conversation that goes on, or keep it: that is the model's own way."""
    signature: str | None = None
    data: str | None = None
    cache_control: CacheControl | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Block:
        if missing := next((name for name in _NEEDS[self.type] if getattr(self, name) is None), None):
            raise PydanticCustomError("block", f"a block of the type '{self.type}' needs '{missing}'")
        if any(inner.type != "text" for inner in self.content):
            raise PydanticCustomError("block", "the result of a tool must be a string or a list of text blocks")
        return self


Text = Annotated[list[Block], FailFast(), BeforeValidator(_blocks, json_schema_input_type=str | list[Block] | None)]


class AnthropicMessage(Closed):
    """One turn of a conversation."""

    role: Literal["user", "assistant"]
    content: Text

    @model_validator(mode="after")
    def _has_its_blocks(self) -> AnthropicMessage:
        for block in self.content:
            if _WRITTEN_BY.get(block.type, self.role) != self.role:
                raise PydanticCustomError(
                    "block", f"a block of the type '{block.type}' cannot be of the role '{self.role}'"
                )
        return self


class Metadata(Closed):
    """Who asks."""

    user_id: str | None = None


class Thinking(Closed):
    """Whether the model thinks, where its template knows that, and whether the answer shows it; how long is the model's choice."""

    type: Literal["enabled", "disabled", "adaptive"]
    budget_tokens: Annotated[Whole, Field(ge=1)] | None = None
    display: Literal["summarized", "omitted"] | None = None

    @property
    def shown(self) -> bool:
        """Whether it is a part of the answer."""
        return self.type != "disabled" and self.display != "omitted"


class Tool(Typed):
    """A tool that the client runs: this worker runs none."""

    types = ("custom",)
    name: str
    description: str | None = None
    input_schema: dict[str, Any]
    type: Literal["custom"] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    eager_input_streaming: bool | None = None
    defer_loading: Literal[False] | None = None
    input_examples: Unsupported = None


class ToolChoice(Closed):
    """Whether tools are called."""

    type: Literal["auto", "any", "tool", "none"]
    name: str | None = None
    disable_parallel_tool_use: bool | None = None

    @model_validator(mode="after")
    def _names_a_tool(self) -> ToolChoice:
        if (self.type == "tool") != (self.name is not None):
            raise PydanticCustomError("tool_choice", "needs 'name' with the type 'tool', and with no other")
        return self


class Format(Closed):
    """The form of the answer."""

    type: Literal["json_schema"]
    definition: Annotated[dict[str, Any], Field(alias="schema")]


class OutputConfig(Closed):
    """How the answer is to be."""

    effort: Literal["low", "medium", "high", "xhigh", "max"] | None = None
    format: Format | None = None


class Edit(Typed):
    """What Anthropic would take out of a long conversation: here only what a template leaves out anyway."""

    types = ("clear_thinking_20251015",)
    type: Literal["clear_thinking_20251015"]
    keep: Any = None


class ContextManagement(Closed):
    """Edits of the conversation."""

    edits: Annotated[list[Edit], FailFast(), Field(max_length=MAX_EDITS)] = Field(default_factory=list)


class Diagnostics(Closed):
    """Which message to compare with in Anthropic's cache of prompts: there is no such cache here."""

    previous_message_id: str | None = None


class _Conversation(Closed):
    """Fields that both endpoints share."""

    model: str
    messages: Annotated[list[AnthropicMessage], FailFast(), Field(min_length=1, max_length=MAX_MESSAGES)]
    system: Text = Field(default_factory=list)
    tools: list[Tool] | None = None
    tool_choice: ToolChoice | None = None
    thinking: Thinking | None = None
    output_config: OutputConfig | None = None
    output_format: Format | None = None
    context_management: ContextManagement | None = None
    cache_control: CacheControl | None = None
    speed: Literal["standard"] | None = None
    mcp_servers: Unsupported = None

    @model_validator(mode="after")
    def _asks(self) -> _Conversation:
        if self.messages[-1].role != "user":
            raise PydanticCustomError(
                "messages", "the last message must be a user's: this worker does not continue an answer"
            )
        if any(block.type != "text" for block in self.system):
            raise PydanticCustomError("system", "'system' must be a string or a list of text blocks")
        return self


class MessagesRequest(_Conversation):
    """Body of `POST /v1/messages`."""

    max_tokens: Annotated[Whole, Field(ge=1)]
    temperature: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[Whole, Field(ge=0, le=1_000_000)] | None = None
    stop_sequences: Annotated[tuple[str, ...], BeforeValidator(stops, json_schema_input_type=StopInput)] = ()
    stream: bool | None = None
    metadata: Metadata | None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    container: Unsupported = None
    thread: Unsupported = None
    diagnostics: Diagnostics | None = None


class CountRequest(_Conversation):
    """Body of `POST /v1/messages/count_tokens`."""
