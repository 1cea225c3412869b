"""The messages of a conversation, and the forms in which chat templates take them. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from slicewise_worker.chat.formats import GENERIC, Format
from slicewise_worker.chat.writing import Writing

_SHORT_ID: Final = re.compile("[A-Za-z0-9]{9}")

_TOOLS: Final = """You may call functions to answer. Their signatures, one JSON object a line:
<tools>
{tools}
</tools>

To call a function, write its name and its arguments, a JSON object, in this form and in no other:
{example}
Call only the functions above."""
_RESPONSE: Final = "\nWhat a function returned comes between <tool_response> and </tool_response>."


class CalledBefore(NamedTuple):
    """A call that an earlier answer made; `arguments` is JSON text as the client sent it."""

    id: str
    name: str
    arguments: str


class Turn(NamedTuple):
    """One message. `call_id`: of the call that a message of a tool answers; `name`: of its function."""

    role: str
    text: str
    calls: tuple[CalledBefore, ...] = ()
    call_id: str = ""
    name: str = ""
    thoughts: str = ""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a template takes messages."""

    in_parts: bool = False
    """As `[{"type": "text", "text": …}]`, as templates of models with several kinds of input do."""
    system: bool = True
    """Whether it has a system role; where not, the text goes in front of the next message of the user."""
    tools: bool = False
    """Whether it describes tools; where not, the system message does."""
    calls: bool = False
    """Whether it renders calls and results; where not, they are texts."""
    listed: bool = False
    """Where there are no tools it wants an empty list, not none."""
    form: Format = GENERIC
    """How its model writes calls."""
    text_arguments: bool = False
    """Arguments of calls as JSON text, not as objects."""
    null_content: bool = False
    """A message with calls and no text has null."""
    thoughts: str = ""
    """The name under which it takes the thoughts of earlier answers; empty where it takes none."""


def messages_for(turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]], manner: Manner) -> list[dict[str, Any]]:
    """Return what a template of this manner gets as `messages`; it gets `tools` itself where `manner.tools`."""
    turns = _named(turns) if manner.calls else _as_texts(turns, manner.form.writing)
    if tools and not manner.tools:
        turns = _described(turns, tools, manner)
    if not manner.system:
        turns = _without_system(turns)
    return [_message(turn, manner) for turn in turns]


def _named(turns: Sequence[Turn]) -> list[Turn]:
    """Give each result of a tool the name of its function, which some templates write."""
    names: dict[str, str] = {}
    named = []
    for turn in turns:
        names |= {call.id: call.name for call in turn.calls}
        known = turn.role == "tool" and not turn.name
        named.append(turn._replace(name=names.get(turn.call_id, "")) if known else turn)
    return named


def _as_texts(turns: Sequence[Turn], writing: Writing) -> list[Turn]:
    """Write calls and results as texts. Results and what the user says next are one message, so that roles alternate."""
    texts: list[Turn] = []
    after_result = False
    for turn in turns:
        if turn.role == "tool":
            text = f"<tool_response>\n{turn.text}\n</tool_response>"
            role = "user"
        else:
            called = writing.text([(call.name, _json(call.arguments)) for call in turn.calls])
            text = "\n".join(filter(None, [turn.text, called]))
            role = turn.role
        if after_result and role == "user":
            texts[-1] = texts[-1]._replace(text=f"{texts[-1].text}\n{text}")
        else:
            texts.append(Turn(role, text, thoughts=turn.thoughts))
        after_result = turn.role == "tool" or (after_result and role == "user")
    return texts


def _described(turns: Sequence[Turn], tools: Sequence[Mapping[str, Any]], manner: Manner) -> list[Turn]:
    """Describe the tools at the end of the system message."""
    lines = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
    text = _TOOLS.format(tools=lines, example=manner.form.writing.text([("function-name", '{"parameter": "value"}')]))
    text += "" if manner.calls else _RESPONSE
    if turns and turns[0].role == "system":
        return [turns[0]._replace(text=f"{turns[0].text}\n\n{text}"), *turns[1:]]
    return [Turn("system", text), *turns]


def _json(arguments: str) -> str:
    """Return the arguments as JSON: those that broke off as a text."""
    return (arguments or "{}") if is_object(arguments) else json.dumps(arguments)


def _without_system(turns: Sequence[Turn]) -> list[Turn]:
    """Put the text of system messages in front of the next message of the user, as templates of Gemma do themselves."""
    rest: list[Turn] = []
    waiting = ""
    for turn in turns:
        if turn.role == "system":
            waiting += f"{turn.text}\n\n"
        elif turn.role == "user":
            rest.append(turn._replace(text=waiting + turn.text))
            waiting = ""
        else:
            rest.append(turn)
    return [*rest, Turn("user", waiting.strip())] if waiting.strip() else rest


def _message(turn: Turn, manner: Manner) -> dict[str, Any]:
    message: dict[str, Any] = {"role": turn.role, "content": turn.text}
    if manner.in_parts:
        message["content"] = [{"type": "text", "text": turn.text}]
    if turn.calls:
        message["tool_calls"] = [_call(call, manner) for call in turn.calls]
        if not turn.text:
            message["content"] = None if manner.null_content else ""
    if turn.role == "tool":
        message["tool_call_id"] = _id(turn.call_id, manner)
    if turn.role == "tool" and turn.name:
        message["name"] = turn.name
    # Templates of gpt-oss take a text beside calls for the thoughts, and refuse both.
    twice = manner.form.channels and turn.calls and turn.text
    if turn.thoughts and manner.thoughts and not twice:
        message[manner.thoughts] = turn.thoughts
    return message


def _call(call: CalledBefore, manner: Manner) -> dict[str, Any]:
    arguments: Any = call.arguments or "{}"
    if not manner.text_arguments:
        arguments = _object(arguments)
    return {
        "id": _id(call.id, manner),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _id(given: str, manner: Manner) -> str:
    """Return the id as the template takes it: another one of the right length where it is too strict for OpenAI's."""
    if not manner.form.short_ids or _SHORT_ID.fullmatch(given):
        return given
    return hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:9]


def is_object(arguments: str) -> bool:
    """Whether the arguments of a call are a JSON object, or none."""
    return isinstance(_object(arguments or "{}"), dict)


def _object(text: str) -> Any:
    """Return the object that `text` is as JSON, else the text: a call that broke off goes back to the model as it was."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text


PROBED: Final = "slicewise_probe"
PROBE_TOOL: Final[dict[str, Any]] = {
    "type": "function",
    "function": {
        "name": PROBED,
        "description": "Returns a number.",
        "parameters": {"type": "object", "properties": {"needle": {"type": "integer", "description": "A number."}}},
    },
}
PROBE_TURNS: Final = (
    Turn("user", "Hello"),
    Turn("assistant", "", (CalledBefore("call00001", PROBED, '{"needle": 8041}'),)),
    Turn("tool", "result-7305", call_id="call00001"),
)
"""A conversation that shows whether a template knows tools."""


def manners_of_calls(manner: Manner) -> list[Manner]:
    """Return the manners in which a template that knows tools may take them, the usual one first."""
    return [
        replace(manner, calls=True, text_arguments=as_text, null_content=null)
        for null in (False, True)
        for as_text in (False, True)
    ]


def shows_calls(prompt: str) -> bool:
    """Whether the prompt of `PROBE_TURNS` has the call and its result, with arguments that are not quoted a second time."""
    return PROBED in prompt and '\\"needle' not in prompt and "8041" in prompt and "result-7305" in prompt
