"""The fields of requests that are about tools, each with its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.http.bounded_json import MOST_LEVELS, check_size
from slicewise_worker.http.closed import Closed
from slicewise_worker.http.custom_fields import CalledCustom, Custom, ToolName

MOST_TOOLS: Final = 128
MOST_SCHEMA: Final = 64 << 10
"""Characters of a tool's parameters as JSON."""


def _parameters(value: dict[str, Any]) -> dict[str, Any]:
    if value.get("type", "object") != "object":
        raise PydanticCustomError("parameters", 'must be the schema of an object, with "type": "object"')
    check_size(value, "parameters", levels=MOST_LEVELS, characters=MOST_SCHEMA)
    return value


class Function(Closed):
    """A function that the model may call."""

    name: ToolName
    description: Annotated[str, Field(max_length=16 << 10)] | None = None
    parameters: Annotated[dict[str, Any], AfterValidator(_parameters)] | None = None
    """A JSON schema; None: it takes no arguments."""
    strict: bool | None = None
    """Whether the arguments of calls keep to the schema that nothing demands; those of calls that are required do in any case."""


Kinds = TypeVar("Kinds", "Tool", "CallBefore")


def one_kind(value: Kinds) -> Kinds:
    """Return what has exactly the part that its type says."""
    other = "function" if value.type == "custom" else "custom"
    if getattr(value, value.type) is None or getattr(value, other) is not None:
        words = "needs '{type}' with the type '{type}', and no '{other}'"
        raise PydanticCustomError("kind", words, {"type": value.type, "other": other})
    return value


class Tool(Closed):
    """A tool that the client runs."""

    type: Literal["function", "custom"]
    function: Function | None = None
    custom: Custom | None = None

    @model_validator(mode="after")
    def _of_its_type(self) -> Tool:
        return one_kind(self)

    @property
    def offered(self) -> Function:
        """Return the function that it is to the model."""
        if self.custom is None:
            return self.function or Function(name="")
        return Function(
            name=self.custom.name,
            description=self.custom.description,
            parameters=self.custom.parameters,
            strict=self.custom.pattern is not None,
        )


class CalledFunction(Closed):
    """The function of an earlier call."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    arguments: str = ""
    """JSON, as the model wrote it."""


class CallBefore(Closed):
    """A call that an earlier answer made."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function", "custom"] = "function"
    function: CalledFunction | None = None
    custom: CalledCustom | None = None
    index: int | None = None
    """Of the chunks of a stream; clients that join them may leave it in."""

    @model_validator(mode="after")
    def _of_its_type(self) -> CallBefore:
        return one_kind(self)

    @property
    def called(self) -> CalledFunction | CalledCustom:
        """Return what was called, and with what."""
        return self.custom or self.function or CalledFunction(name="")


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


class NamedCustom(Closed):
    """The custom tool that the model has to call, for the OpenAPI document."""

    type: Literal["custom"]
    custom: NamedFunction


ChoiceInput = Literal["none", "auto", "required"] | NamedTool | NamedCustom | None


def as_tool_choice(value: Any) -> Any:
    """Accept a word, or an object that names a function."""
    if value is None or value in ("none", "auto", "required"):
        return None if value is None else ToolChoice(value)
    kind = value.get("type") if isinstance(value, dict) else None
    if isinstance(value, dict) and kind in ("function", "custom") and set(value) <= {"type", kind}:
        named = value.get(kind)
        if isinstance(named, dict) and set(named) == {"name"} and isinstance(named["name"], str):
            return ToolChoice("named", named["name"])
    words = '"none", "auto", "required" or {"type": "function", "function": {"name": "..."}}'
    raise PydanticCustomError("tool_choice", "must be {words}", {"words": words})
