"""The grammar of an answer with calls: those that it has to make, and those that keep to a schema once the model begins one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from slicewise_worker.chat.formats import Format
from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError
from slicewise_worker.engine.llama import Model
from slicewise_worker.engine.tokenizer import Tokenizer
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.response_format import schema_constraint
from slicewise_worker.http.tagged_grammar import SPACE, any_argument_rules, argument_rules, regex
from slicewise_worker.http.tool_fields import Function
from slicewise_worker.http.tools import ToolUse

MOST_CALLS: Final = 16
"""Of one answer that has to call: without a bound a small model may go on until its tokens are used up."""
_NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}


def call_constraint(
    use: ToolUse, form: Format, model: Model, content: Mapping[str, Any] | None = None
) -> GrammarConstraint | None:
    """Return the constraint to calls, None where none is demanded; raises `ApiError`, and `UntriedError`, which `Intake` sees to.

    `content` is the schema that an answer keeps to which is no call.
    """
    if not use.required and not use.strict and content is None:
        return None
    grammar = Calls(use, form, model.tokenizer)
    try:
        text = (
            grammar.required() if use.required else grammar.optional() if content is None else grammar.either(content)
        )
        return model.grammars.lark(text, wait=False)
    except GrammarError as error:
        if content is not None:
            schema_constraint(content, model.grammars)
            raise _refused("response_format", f"together with 'tools' it cannot be enforced: {error}") from error
        asks = "'tool_choice'" if use.required else "'strict'"
        raise _refused("tools", f"their parameters cannot be enforced, as {asks} asks for: {error}") from error


def _refused(param: str, words: str) -> ApiError:
    return ApiError(400, f"Invalid '{param}': {words}.", code="invalid_value", param=param)


class Calls:
    """Grammars in llguidance's dialect of Lark."""

    def __init__(self, use: ToolUse, form: Format, tokenizer: Tokenizer) -> None:
        self._use = use
        self._form = form
        self._writing = form.writing
        self._tokenizer = tokenizer
        self._several = use.parallel and form.parallel

    def required(self) -> str:
        """Return the grammar of an answer that is calls, in exactly the family's form."""
        return "\n".join([f"start: {self._whole()}", *self._call(self._writing.before)])

    def either(self, content: Mapping[str, Any]) -> str:
        """Return the grammar of an answer that is calls, or content by the schema `content`, from its first character on."""
        if "x-guidance" in content:
            raise GrammarError("the keyword 'x-guidance' is not supported")
        kept = f"content: {_json(content)}"
        if self._form.channels:
            return "\n".join([*self._in_channels("content"), kept])
        calls = self._as_json() if self._form.bare else self._call(self._writing.before)
        opener = f"{self._literal(self._form.openers[0])}? " if self._form.bare else ""
        return "\n".join([f"start: {opener}{self._whole()} | content", kept, *calls])

    def _whole(self) -> str:
        """Return all calls of an answer."""
        return f"{self._literal(self._writing.begin)} call {self._more()} {self._literal(self._writing.end)}"

    def _as_json(self) -> list[str]:
        """Return the rules of a call that begins as content does: both are read as JSON until they differ."""
        rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(self._use.functions)))]
        for number, function in enumerate(self._use.functions):
            schema = _schema(function) if function.strict else {"type": "object"}
            shared = {word: schema[word] for word in ("$defs", "definitions") if word in schema}
            call = {
                "type": "object",
                "properties": {"name": {"const": function.name}, "parameters": schema},
                "required": ["name", "parameters"],
                "additionalProperties": False,
            }
            rules.append(f"call_{number}: {_json({**shared, **call})}")
        return rules

    def optional(self) -> str:
        """Return the grammar of any answer whose calls are by the schemas: what opens a call in it begins one."""
        if self._form.channels:
            return "\n".join([*self._in_channels("TEXT?"), "TEXT: /(?s:.+)/"])
        if self._form.bare:
            return self._bare()
        opener, writing = self._form.openers[0], self._writing
        token = self._tokenizer.mark(opener)
        if opener in writing.begin:
            unit = (
                f"{self._literal(writing.begin.partition(opener)[2])} call {self._more()} {self._literal(writing.end)}"
            )
            calls = self._call(writing.before)
        else:
            unit, calls = "call", self._call(writing.before.partition(opener)[2])
        marks = [mark for mark in self._tokenizer.marks() if mark != token]
        other = f"other: <[{_ranges(marks)}]>" if marks else ""
        piece = "TEXT | other" if marks else "TEXT"
        opened = f"opened: {'opener' if token is None else f'(<[{token}]> | opener)'} {unit}"
        lexemes = [
            # What opens a call in plain text opens one too.
            f"opener[lazy]: /(?s:.*){regex(opener)}/",
            f"TEXT: ~/(?s:.*){regex(opener)}(?s:.*)/ & /(?s:.+)/",
        ]
        start = f"start: ({piece} | opened)*" if self._several else f"start: ({piece})* opened?"
        return "\n".join(filter(None, [start, opened, *lexemes, other, *calls]))

    def _bare(self) -> str:
        """Return the grammar of an answer that is calls from its first character on, or text."""
        opener = self._literal(self._form.openers[0])
        text = r"TEXT: /[ \n\r\t]*([^{ \n\r\t](?s:.*))?/"
        return "\n".join([f"start: TEXT | {opener}? call {self._more()}", text, *self._call(self._writing.before)])

    def _in_channels(self, final: str) -> list[str]:
        """Return the rules of an answer in channels, with the rule `final` for its content."""
        channel, message, end = map(self._literal, ("<|channel|>", "<|message|>", "<|end|><|start|>assistant"))
        if "<[" not in channel:
            raise GrammarError("the model's vocabulary has no tokens for channels")
        return [
            "start: before* (call | final)",
            f'before: {channel} ("analysis" | "commentary") {message} THOUGHT? {end}',
            "THOUGHT: /(?s:.+)/",
            f'final: {channel} "final" {message} {final}',
            *self._call(self._writing.before),
        ]

    def _more(self) -> str:
        return f"({self._literal(self._writing.between)} call){{0,{MOST_CALLS - 1}}}" if self._several else ""

    def _call(self, before: str) -> list[str]:
        """Return the rules of one call, which begins with `before`."""
        functions, writing = self._use.functions, self._writing
        rules = ["call: " + " | ".join(f"call_{number}" for number in range(len(functions)))]
        for number, function in enumerate(functions):
            head = self._literal(f"{before}{function.name}{writing.middle}")
            rules.append(f"call_{number}: {head} arguments_{number} {self._literal(writing.after)}")
            rules += self._arguments(number, function)
        return rules

    def _arguments(self, number: int, function: Function) -> list[str]:
        kept = self._use.required or function.strict
        schema = _schema(function) if kept else {"type": "object"}
        if tags := self._writing.tags:
            if kept:
                return argument_rules(number, schema, tags, self._literal)
            return any_argument_rules(number, tags, self._literal)
        return [f"arguments_{number}: {_json(schema)}"]

    def _literal(self, text: str) -> str:
        return _literal(text, self._form.marks, self._tokenizer)


def _json(schema: Mapping[str, Any]) -> str:
    """Return the rule of JSON texts of `schema`."""
    return f"%json {json.dumps({**schema, 'x-guidance': {'whitespace_pattern': SPACE}}, allow_nan=False)}"


def _schema(function: Function) -> dict[str, Any]:
    schema = _NO_ARGUMENTS if function.parameters is None else {"type": "object", **function.parameters}
    if "x-guidance" in schema:
        raise GrammarError("the keyword 'x-guidance' is not supported")
    return schema


def _literal(text: str, marks: Sequence[str], tokenizer: Tokenizer) -> str:
    """Return `text` as strings and special tokens, which no text can be written with."""
    parts = re.split("(" + "|".join(map(re.escape, marks)) + ")", text)
    tokens = [(part, tokenizer.special(part) if part in marks else None) for part in parts if part]
    return " ".join(json.dumps(part, ensure_ascii=False) if token is None else f"<[{token}]>" for part, token in tokens)


def _ranges(tokens: Sequence[int]) -> str:
    """Return rising numbers as llguidance takes them: `3,5-9`."""
    ranges: list[list[int]] = []
    for token in tokens:
        if ranges and ranges[-1][1] == token - 1:
            ranges[-1][1] = token
        else:
            ranges.append([token, token])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in ranges)
