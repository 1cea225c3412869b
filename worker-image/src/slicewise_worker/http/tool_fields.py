"""The fields of requests that are about tools, each with its bounds."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed

MOST_TOOLS: Final = 128
MOST_SCHEMA: Final = 64 << 10
"""Characters of a tool's parameters as JSON."""
_DEEPEST: Final = 64


def levels(value: Any) -> int:
    """Return the levels of a JSON value, by a stack of its own; those beyond the most that anything may have are not counted."""
    deepest, stack = 0, [(value, 1)]
    while stack:
        item, level = stack.pop()
        deepest = max(deepest, level)
        if deepest > _DEEPEST:
            break
        inner = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        stack += [(each, level + 1) for each in inner]
    return deepest


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type", "object") != "object":
        raise PydanticCustomError("parameters", 'must be the schema of an object, with "type": "object"')
    if levels(value) > _DEEPEST:
        raise PydanticCustomError("parameters", f"must have at most {_DEEPEST} levels")
    try:
        size = len(json.dumps(value, ensure_ascii=False, allow_nan=False))
    except ValueError as error:
        raise PydanticCustomError("parameters", "must be JSON, without NaN and Infinity") from error
    if size > MOST_SCHEMA:
        raise PydanticCustomError("parameters", f"must have at most {MOST_SCHEMA} characters as JSON")
    return value


ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


class Function(Closed):
    """A function that the model may call."""

    name: ToolName
    description: Annotated[str, Field(max_length=16 << 10)] | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] | None = None
    """A JSON schema; None: it takes no arguments."""
    strict: bool | None = None
    """Whether the arguments of calls keep to the schema that nothing demands; those of calls that are required do in any case."""


class Tool(Closed):
    """A tool; of OpenAI's kinds only functions, which the client runs."""

    type: Literal["function"]
    function: Function


class CalledFunction(Closed):
    """The function of an earlier call."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str = ""
    """JSON, as the model wrote it."""


class CallBefore(Closed):
    """A call that an earlier answer made."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: CalledFunction
    index: int | None = None
    """Of the chunks of a stream; clients that join them may leave it in."""


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """Whether the model calls tools, and `name` where it has to call this one."""

    mode: Literal["none", "auto", "required", "named"]
    name: str = ""


class NamedFunction(Closed):
    """The function that the model has to call, for the OpenAPI document."""

    name: str


class NamedTool(Closed):
    """The tool that the model has to call, for the OpenAPI document."""

    type: Literal["function"]
    function: NamedFunction


ChoiceInput = Literal["none", "auto", "required"] | NamedTool | None


def as_tool_choice(value: Any) -> Any:
    """Accept a word, or an object that names a function."""
    if value is None or value in ("none", "auto", "required"):
        return None if value is None else ToolChoice(value)
    if isinstance(value, dict) and value.get("type") == "function" and set(value) <= {"type", "function"}:
        function = value.get("function")
        if isinstance(function, dict) and set(function) == {"name"} and isinstance(function["name"], str):
            return ToolChoice("named", function["name"])
    words = '"none", "auto", "required" or {"type": "function", "function": {"name": "..."}}'
    raise PydanticCustomError("tool_choice", "must be {words}", {"words": words})
