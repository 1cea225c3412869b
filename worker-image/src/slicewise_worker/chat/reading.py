"""Reading an answer one character at a time: what is said so far, and JSON values whose end shows. Pure.

Coroutines, so that each form can be written as what it is read as; each takes one character a step.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Content:
    """Text for people."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """Text that the model wrote for itself."""

    text: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A call of the tool `name`: the `index`-th of the answer."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Arguments:
    """More of a call's arguments, as JSON text."""

    index: int
    text: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of a call; `whole`: its arguments are a JSON object. `raw` is what the model wrote, marks in front included."""

    index: int
    whole: bool
    raw: str


Event = Content | Thought | Begun | Arguments | Ended
Part = Generator[None, str, str]
Loop = Generator[None, str, None]

END: Final = ""
"""Comes instead of a character when the text is over."""
BLANK: Final = frozenset(" \t\r\n")
MOST_BLANKS: Final = 256
_SCALAR: Final = frozenset("-+.0123456789abcdefghijklmnopqrstuvwxyzE")


class WrongError(Exception):
    """What came is no call; `unread` belongs to what follows."""

    def __init__(self, unread: str = "") -> None:
        super().__init__(unread)
        self.unread = unread


class Reader:
    """Where the text of an answer stands."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._said: list[str] = []
        self._kind: type[Content] | type[Thought] | type[Arguments] = Content
        self._raw: list[str] = []
        """What was read of a call."""
        self._again = ""
        """Comes before what comes next."""
        self._ended = False
        self._calls = 0
        self._machine: Loop

    def _start(self, answer: Loop) -> None:
        """Begin to read an answer by the coroutine `answer`, which ends with the text."""
        self._machine = answer
        next(answer)

    def feed(self, text: str) -> list[Event]:
        """Return what is known by more text."""
        for char in text:
            self._machine.send(char)
        return self._taken()

    def finish(self) -> list[Event]:
        """Return what the end of the text decides."""
        try:
            self._machine.send(END)
        except StopIteration:
            return self._taken()
        raise AssertionError("the end of the text is the end of the answer")

    def _taken(self) -> list[Event]:
        self._flush()
        events, self._events = self._events, []
        return events

    def _say(self, text: str, kind: type[Content] | type[Thought] | type[Arguments] = Content) -> None:
        """Add text; what has one kind becomes one event."""
        if text:
            if kind is not self._kind:
                self._flush()
                self._kind = kind
            self._said.append(text)

    def _flush(self) -> None:
        text, self._said = "".join(self._said), []
        if text:
            self._events.append(Arguments(self._calls, text) if self._kind is Arguments else self._kind(text))  # type: ignore[call-arg, arg-type]

    def _tell(self, event: Event) -> None:
        self._flush()
        self._events.append(event)

    def _char(self) -> Part:
        """Return the next character, `END` from the end of the text on."""
        if self._again:
            char, self._again = self._again[0], self._again[1:]
            return char
        if self._ended:
            return END
        char = yield
        self._ended = char == END
        return char

    def _skip_blanks(self) -> Part:
        """Take blanks and return the first of them."""
        taken = ""
        while True:
            char = yield from self._char()
            if char == END or char not in BLANK:
                self._again = char + self._again
                return taken
            taken += char if len(taken) < MOST_BLANKS else ""

    def _unread(self, char: str) -> str:
        """Give back the last character of the raw text."""
        if char != END:
            self._raw.pop()
        return char

    def _read(self) -> Part:
        """Return the next character, as part of the raw text."""
        char = yield from self._char()
        self._raw.append(char)
        return char

    def _next(self) -> Part:
        """Return the next character that is no blank, as part of the raw text."""
        while True:
            char = yield from self._read()
            if char == END or char not in BLANK:
                return char

    def _balanced(self, text: list[str], *, tell: bool) -> Loop:
        """Read up to the bracket that closes the one that was read, or the end of the text."""
        depth, quoted, escaped = 1, False, False
        while depth:
            char = yield from self._read()
            if char == END:
                return
            text.append(char)
            if tell:
                self._say(char, Arguments)
            if quoted:
                quoted, escaped = escaped or char != '"', not escaped and char == "\\"
            elif char == '"':
                quoted = True
            else:
                depth += (char in "{[") - (char in "}]")

    def _string(self) -> Part:
        """Return a JSON string whose first quote was read."""
        text, escaped = ['"'], False
        while True:
            char = yield from self._read()
            if char == END:
                raise WrongError
            text.append(char)
            if char == '"' and not escaped:
                break
            escaped = not escaped and char == "\\"
        try:
            return str(json.loads("".join(text), strict=False))
        except ValueError as error:
            raise WrongError from error

    def _value(self, char: str) -> Part:
        """Return a value as JSON text, what a string holds for a string."""
        if char == '"':
            return (yield from self._string())
        text = [char]
        if char != END and char in "{[":
            yield from self._balanced(text, tell=False)
            return "".join(text)
        while True:
            char = yield from self._char()
            if char == END or char not in _SCALAR:
                self._again = char + self._again
                return "".join(text)
            self._raw.append(char)
            text.append(char)
