"""From the events of an answer to what a whole answer says. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from slicewise_worker.chat.reading import Arguments, Begun, Content, Ended, Event, Thought


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is whole."""

    name: str
    arguments: str
    """A JSON object, as the model wrote it."""


@dataclass(frozen=True, slots=True)
class Said:
    """A whole answer. A call that is not whole is content, as it stands."""

    content: str
    thoughts: str
    calls: tuple[Call, ...]


def assemble(events: Iterable[Event]) -> Said:
    """Return the answer that `events` make."""
    content: list[str] = []
    thoughts: list[str] = []
    calls: list[Call] = []
    name, arguments = "", [""]
    for event in events:
        match event:
            case Content(text):
                content.append(text)
            case Thought(text):
                thoughts.append(text)
            case Begun(_, name):
                arguments = []
            case Arguments(_, text):
                arguments.append(text)
            case Ended(_, True, _):
                calls.append(Call(name, "".join(arguments)))
            case Ended(_, _, raw):
                content.append(raw)
    return Said("".join(content), "".join(thoughts), tuple(calls))
