"""From the fields of a request about tools to what is given to the model, looked for in its answer, and demanded of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slicewise_worker.chat.calls import AnswerParser, Parser, parser_for
from slicewise_worker.http.chat_template import ChatTemplate
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.schema import ChatRequest
from slicewise_worker.http.tool_fields import Function


@dataclass(frozen=True, slots=True)
class ToolUse:
    """The tools of a request. `functions`: those that the answer may call; empty where it may call none."""

    functions: tuple[Function, ...] = ()
    required: bool = False
    """Whether the answer has to call one of them."""
    parallel: bool = True
    """Whether it may have more than one call."""
    custom: frozenset[str] = frozenset()
    """Names of those that are custom tools."""

    @property
    def strict(self) -> bool:
        """Whether arguments that the model writes by itself have to keep to a schema."""
        return any(function.strict for function in self.functions)

    @property
    def names(self) -> frozenset[str]:
        """Return the names of `functions`."""
        return frozenset(function.name for function in self.functions)

    def described(self) -> list[dict[str, Any]]:
        """Return the tools as chat templates take them: with all keys, because some templates do not ask whether one is there."""
        return [
            {
                "type": "function",
                "function": {
                    "name": function.name,
                    "description": function.description or "",
                    "parameters": function.parameters or {"type": "object", "properties": {}},
                },
            }
            for function in self.functions
        ]


def tool_use(body: ChatRequest) -> ToolUse:
    """Return what `body` asks for; raises `ApiError` for fields that contradict each other."""
    functions = tuple(tool.offered for tool in body.tools or ())
    custom = frozenset(tool.custom.name for tool in body.tools or () if tool.custom)
    names = [function.name for function in functions]
    if (twice := next((name for name in names if names.count(name) > 1), None)) is not None:
        raise _wrong("tools", f"two of them have the name '{twice}'")
    mode = body.tool_choice.mode if body.tool_choice else "auto"
    if mode in {"required", "named"} and not functions:
        raise _wrong("tool_choice", f"it is '{mode}', and the request has no 'tools'")
    if mode == "none" or not functions:
        return ToolUse()
    parallel = body.parallel_tool_calls is not False
    if body.tool_choice and mode == "named":
        chosen = body.tool_choice.name
        functions = tuple(function for function in functions if function.name == chosen)
        if not functions:
            raise _wrong("tool_choice", f"it names '{chosen[:64]}', which is not among 'tools'")
        return ToolUse(functions, required=True, parallel=False, custom=custom)
    return ToolUse(functions, mode == "required", parallel, custom)


def _wrong(param: str, words: str) -> ApiError:
    return ApiError(400, f"Invalid '{param}': {words}.", code="invalid_value", param=param)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers of a request are read: made once, for a parser for each choice."""

    use: ToolUse
    template: ChatTemplate
    apart: bool
    """Whether thoughts are kept apart."""
    opened: bool
    """Whether the prompt begins them."""
    in_form: bool = False
    """Whether `response_format` says what the answer is, from its first token on."""
    content: Mapping[str, Any] | None = None
    """The schema of content, where an answer is either calls or content in a `response_format`."""

    @property
    def plain(self) -> bool:
        """Whether an answer is its text."""
        if self.in_form:
            return True
        form, thinking = self.template.form, self.template.thinking if self.apart else None
        return not self.use.functions and thinking is None and not form.channels

    @property
    def marks(self) -> tuple[str, ...]:
        """Return the texts of the special tokens that are looked for."""
        form, thinking = self.template.form, self.template.thinking
        return (form.marks if self.use.functions or form.channels else ()) + (thinking.marks if thinking else ())

    @property
    def short_ids(self) -> bool:
        """Whether ids of calls have to fit templates that take only nine letters and digits."""
        return self.template.form.short_ids

    def parser(self) -> Parser:
        """Return a parser for one choice."""
        form = self.template.form
        schemas = {function.name: function.parameters or {} for function in self.use.functions}
        if self.content is not None and not form.channels:
            return AnswerParser(form, self.use.names, schemas=schemas, either=True)
        return parser_for(
            form, self.use.names, self.template.thinking, opened=self.opened, apart=self.apart, schemas=schemas
        )


def reading_for(body: ChatRequest, use: ToolUse, template: ChatTemplate, prompt: str) -> Reading:
    """Return how answers to `prompt` are read."""
    opened = template.thinking is not None and template.thinking.opened_by(prompt)
    apart, form = body.reasoning_format != "none", body.response_format
    content = None if form is None or use.required or not use.functions else form.wanted
    return Reading(use, template, apart, opened, in_form(body, use), content)


def in_form(body: ChatRequest, use: ToolUse) -> bool:
    """Return whether an answer keeps to a `response_format` from its first token on, so that neither thoughts nor calls are in it."""
    return body.response_format is not None and body.response_format.wanted is not None and not use.functions


def without_thoughts(body: ChatRequest, use: ToolUse) -> bool:
    """Return whether an answer has no room for thoughts: where it has to call, and where its content keeps to a `response_format`."""
    return use.required or (body.response_format is not None and body.response_format.wanted is not None)
