"""The calls of an answer, by the form of a family. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from slicewise_worker.chat.reading import END, Arguments, Begun, Ended, Loop, Part, Reader, WrongError

_LONGEST_HEADER: Final = 256
_NAMES: Final = frozenset({"name", "tool_name", "function"})
_ARGUMENTS: Final = frozenset({"arguments", "parameters"})
_BESIDE: Final = frozenset({"id", "tool_call_id", "type", "index"})


@dataclass(slots=True)
class _Call:
    """A call as a JSON object, so far."""

    name: str | None = None
    waiting: str | None = None
    """Arguments that came before the name, or as a text."""
    whole: bool | None = None
    """Whether its arguments are an object; None before they have come."""


def object_text(text: str) -> bool:
    """Whether `text` is a JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


class CallReader(Reader):
    """Reads calls of the tools `names`."""

    def __init__(self, names: frozenset[str]) -> None:
        super().__init__()
        self._names = names

    def _objects(self) -> Loop:
        """Take a JSON object, or a list of them."""
        char = yield from self._next()
        if char == "{":
            yield from self._object()
            return
        if char != "[":
            raise WrongError(self._unread(char))
        while True:
            char = yield from self._next()
            if char != "{":
                raise WrongError(self._unread(char))
            yield from self._object()
            self._raw = []
            char = yield from self._next()
            if char == "]":
                return
            if char != ",":
                raise WrongError(self._unread(char))

    def _named(self, header: re.Pattern[str]) -> Loop:
        """Take a header with a name, and the arguments."""
        read: list[str] = []
        while True:
            char = yield from self._read()
            if char == "{":
                break
            read.append(char)
            if char == END or len(read) > _LONGEST_HEADER:
                raise WrongError
        found = header.fullmatch("".join(read))
        if found is None or found["name"] not in self._names:
            raise WrongError
        whole = yield from self._arguments(found["name"])
        self._finish(whole=whole)

    def _begin(self, name: str) -> None:
        self._tell(Begun(self._calls, name))

    def _finish(self, *, whole: bool) -> None:
        self._tell(Ended(self._calls, whole, "".join(self._raw)))
        self._calls += 1

    def _arguments(self, name: str) -> Generator[None, str, bool]:
        """Tell a call and its arguments, whose `{` was read, as they come; return whether they are a JSON object."""
        self._begin(name)
        text = ["{"]
        self._say("{", Arguments)
        yield from self._balanced(text, tell=True)
        return object_text("".join(text))

    def _object(self) -> Loop:
        """Take a call as a JSON object whose `{` was read."""
        call = _Call()
        try:
            while (yield from self._member(call)):
                pass
        except WrongError:
            if call.whole is None:
                raise
            # Its arguments have come: they are what counts.
            self._finish(whole=call.whole)
            self._raw = []
            raise
        if call.name is None:
            raise WrongError
        self._finish(whole=self._told_at_once(call.name, call.waiting) if call.whole is None else call.whole)

    def _member(self, call: _Call) -> Generator[None, str, bool]:
        """Take a key with its value; return whether there is another."""
        key = yield from self._key()
        char = yield from self._next()
        if key in _NAMES and char == '"' and call.name is None:
            call.name = yield from self._string()
            if call.name not in self._names:
                raise WrongError
        elif key in _ARGUMENTS and call.waiting is None and call.whole is None:
            if char == "{" and call.name is not None:
                call.whole = False
                call.whole = yield from self._arguments(call.name)
            else:
                call.waiting = yield from self._value(char)
        elif key in _BESIDE:
            yield from self._value(char)
        else:
            raise WrongError
        char = yield from self._next()
        if char not in {",", "}"}:
            raise WrongError(self._unread(char))
        return char == ","

    def _told_at_once(self, name: str, waiting: str | None) -> bool:
        """Tell a call whose arguments came before its name, as a text, or not at all; return whether they are an object."""
        text = "{}" if waiting in {None, "null", ""} else str(waiting)
        if not object_text(text):
            raise WrongError
        self._begin(name)
        self._say(text, Arguments)
        return True

    def _key(self) -> Part:
        quote = yield from self._next()
        if quote != '"':
            raise WrongError(self._unread(quote))
        key = yield from self._string()
        if (yield from self._next()) != ":":
            raise WrongError
        return key
