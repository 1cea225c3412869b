"""The grammar of an answer that has to call a tool: the calls as the model's family writes them, with arguments by each tool's schema."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from slicewise_worker.chat.formats import Format
from slicewise_worker.engine.constraint import GrammarConstraint, GrammarError
from slicewise_worker.engine.llama import Model
from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.tool_fields import Function
from slicewise_worker.http.tools import ToolUse

MOST_CALLS: Final = 16
"""Of one answer that has to call: without a bound a small model may go on until its tokens are used up."""
_NO_ARGUMENTS: Final[dict[str, Any]] = {"type": "object", "properties": {}, "additionalProperties": False}
_SPACE: Final = r"[\x20\x0A\x0D\x09]{1,40}"


def call_constraint(use: ToolUse, form: Format, model: Model) -> GrammarConstraint | None:
    """Return the constraint to calls, None where none is required; raises `ApiError`, and `UntriedError`, which `Intake` sees to."""
    if not use.required:
        return None
    try:
        grammar = lark(use.functions, form, model.tokenizer.special, several=use.parallel)
        return model.grammars.lark(grammar, wait=False)
    except GrammarError as error:
        message = f"Invalid 'tools': their parameters cannot be enforced, as 'tool_choice' asks for: {error}."
        raise ApiError(400, message, code="invalid_value", param="tools") from error


def lark(functions: Sequence[Function], form: Format, special: Callable[[str], int | None], *, several: bool) -> str:
    """Return the grammar in llguidance's dialect of Lark; `special` knows the tokens that no text can be written with."""
    writing = form.writing

    def literal(text: str) -> str:
        return _literal(text, form.marks, special)

    more = ""
    if several and form.parallel:
        more = f"({literal(writing.between)} call){{0,{MOST_CALLS - 1}}}"
    rules = [
        f"start: {literal(writing.begin)} call {more} {literal(writing.end)}",
        "call: " + " | ".join(f"call_{number}" for number in range(len(functions))),
    ]
    for number, function in enumerate(functions):
        head = literal(f"{writing.before}{function.name}{writing.middle}")
        rules += [
            f"call_{number}: {head} arguments_{number} {literal(writing.after)}",
            f"arguments_{number}: %json {_schema(function)}",
        ]
    return "\n".join(rules)


def _schema(function: Function) -> str:
    schema = _NO_ARGUMENTS if function.parameters is None else {"type": "object", **function.parameters}
    if "x-guidance" in schema:
        raise GrammarError("the keyword 'x-guidance' is not supported")
    return json.dumps({**schema, "x-guidance": {"whitespace_pattern": _SPACE}}, allow_nan=False)


def _literal(text: str, marks: Sequence[str], special: Callable[[str], int | None]) -> str:
    """Return `text` as strings and special tokens."""
    parts = re.split("(" + "|".join(map(re.escape, marks)) + ")", text)
    tokens = [(part, special(part) if part in marks else None) for part in parts if part]
    return " ".join(json.dumps(part, ensure_ascii=False) if token is None else f"<[{token}]>" for part, token in tokens)
