"""How OpenAI writes down an answer of a chat that has tool calls or thoughts in it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from slicewise_worker.chat.assemble import Call, Said, assemble
from slicewise_worker.chat.input_text import InputText
from slicewise_worker.chat.reading import Arguments, Begun, Content, Ended, Event, Thought
from slicewise_worker.engine.constraint import GrammarConstraint
from slicewise_worker.engine.llama import Model
from slicewise_worker.engine.request import Constraint
from slicewise_worker.http.one_call import OneCall
from slicewise_worker.http.response import Asked
from slicewise_worker.http.shape import ChatShape, Logprobs, Shape
from slicewise_worker.http.tool_grammar import call_constraint
from slicewise_worker.http.tools import Reading


def read_for_calls(asked: Asked, reading: Reading, model: Model) -> tuple[Asked, Shape]:
    """Return what is asked for, and the shape of answers that are read for calls and thoughts; raises `ApiError`."""
    shown = frozenset(token for mark in reading.marks if (token := model.tokenizer.special(mark)) is not None)
    constraint = call_constraint(reading.use, reading.template.form, model, reading.content)
    generations = [
        replace(
            generation, shown=shown, constraint=generation.constraint or _constraint(constraint, reading, model, shown)
        )
        for generation in asked.generations
    ]
    asked = replace(asked, generations=generations)
    return asked, ChatShape() if reading.plain else SpokenShape(reading, len(generations))


def _constraint(
    grammar: GrammarConstraint | None, reading: Reading, model: Model, shown: frozenset[int]
) -> Constraint | None:
    """Return what one answer is kept to."""
    if grammar is not None:
        return grammar.copy()
    if reading.use.functions and not reading.use.parallel:
        return OneCall(reading.parser(), lambda token: model.tokenizer.piece(token, shown))
    return None


class SpokenShape(ChatShape):
    """`/v1/chat/completions`, where the text of an answer is read for calls and thoughts."""

    slow = True

    def __init__(self, reading: Reading, choices: int) -> None:
        self._reading = reading
        self._parsers = [reading.parser() for _ in range(choices)]
        self._count = [0] * choices
        self._inputs: list[InputText | None] = [None] * choices
        """What reads the input of the custom tool that a choice calls now."""

    def choice(self, index: int, text: str, reason: str, logprobs: Logprobs) -> dict[str, Any]:
        """Return a choice of a whole answer."""
        said = assemble(self._events(index, text, last=True))
        message = {"role": "assistant", "content": said.content, "refusal": None, **self._beside(said)}
        reason = "tool_calls" if said.calls and reason == "stop" else reason
        return {"index": index, "message": message, "logprobs": logprobs, "finish_reason": reason}

    def deltas(self, index: int, text: str, reason: str | None, logprobs: Logprobs) -> list[dict[str, Any]]:
        """Return choices for what is known by the text, and one for the end."""
        events = self._events(index, text, last=reason is not None)
        told = [self._part(event, index) for event in events]
        parts = [self._delta(index, delta, None, None) for delta in told if delta is not None]
        if logprobs and logprobs["content"]:
            # Of the tokens that came: what they say may be held back.
            parts = parts or [self._delta(index, {}, None, None)]
            parts[0]["logprobs"] = logprobs
        if reason is None:
            return parts
        reason = "tool_calls" if self._count[index] and reason == "stop" else reason
        return [*parts, self._delta(index, {}, reason, None)]

    def _beside(self, said: Said) -> dict[str, Any]:
        """Return the fields of a message that not every answer has."""
        fields: dict[str, Any] = {}
        if said.thoughts:
            fields["reasoning_content"] = said.thoughts
        if said.calls:
            fields["tool_calls"] = [{"id": self._id(), **self._called(call)} for call in said.calls]
            fields["content"] = said.content or None
        return fields

    def _called(self, call: Call) -> dict[str, Any]:
        if call.name in self._reading.use.custom:
            return {"type": "custom", "custom": {"name": call.name, "input": InputText().feed(call.arguments)}}
        return {"type": "function", "function": {"name": call.name, "arguments": call.arguments}}

    def _events(self, index: int, text: str, *, last: bool) -> Sequence[Event]:
        parser = self._parsers[index]
        events = parser.feed(text) + (parser.finish() if last else [])
        kept: list[Event] = []
        for event in events:
            if self._count[index] and not self._reading.use.parallel:
                break
            kept.append(event)
            self._count[index] += isinstance(event, Ended) and event.whole
        return kept

    def _part(self, event: Event, choice: int) -> dict[str, Any] | None:
        match event:
            case Content(text):
                return {"content": text}
            case Thought(text):
                return {"reasoning_content": text}
            case Begun(call, name) if name in self._reading.use.custom:
                self._inputs[choice] = InputText()
                custom = {"name": name, "input": ""}
                return {"tool_calls": [{"index": call, "id": self._id(), "type": "custom", "custom": custom}]}
            case Begun(call, name):
                self._inputs[choice] = None
                function = {"name": name, "arguments": ""}
                return {"tool_calls": [{"index": call, "id": self._id(), "type": "function", "function": function}]}
            case Arguments(call, text) if (reader := self._inputs[choice]) is not None:
                more = reader.feed(text)
                return {"tool_calls": [{"index": call, "custom": {"input": more}}]} if more else None
            case Arguments(call, text):
                return {"tool_calls": [{"index": call, "function": {"arguments": text}}]}
            case _:
                return None

    def _id(self) -> str:
        return uuid.uuid4().hex[:9] if self._reading.short_ids else f"call_{uuid.uuid4().hex[:24]}"
