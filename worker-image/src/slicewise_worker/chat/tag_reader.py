"""Calls whose arguments are written in tags, one by one, as their values come. Pure.

A text goes out character by character; a value of another kind, or of several, once it is there, because only its end tells what it is.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Any, Final

from slicewise_worker.chat.call_reader import CallReader
from slicewise_worker.chat.kinds import TEXT, as_json, kinds_of
from slicewise_worker.chat.reading import BLANK, END, Arguments, Loop, Part, WrongError
from slicewise_worker.chat.writing import Tags, Writing

_LONGEST_NAME: Final = 256


class TagReader(CallReader):
    """Reads calls whose arguments are in tags, typed by the functions' `schemas`."""

    def __init__(self, names: frozenset[str], schemas: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        super().__init__(names)
        self._schemas = schemas or {}

    def _tagged(self, writing: Writing, tags: Tags) -> Loop:
        """Take the name of a function and the arguments behind it."""
        name = yield from self._function(tags)
        self._begin(name)
        self._say("{", Arguments)
        ends, separator = writing.after.split(), ""
        while True:
            mark = yield from self._one_of([tags.before, *ends])
            if mark in ends:
                self._say("}", Arguments)
                self._finish(whole=True)
                break
            if not mark or not (yield from self._argument(name, separator, tags)):
                self._finish(whole=False)
                break
            separator = ", "
        self._raw = []

    def _function(self, tags: Tags) -> Part:
        read = ""
        while True:
            char = yield from self._read()
            if char == END or len(read) > _LONGEST_NAME:
                raise WrongError
            if char in tags.ends_name and read.strip():
                break
            read += char
        if char == tags.before[0]:
            self._again = self._unread(char) + self._again
        if read.strip() not in self._names:
            raise WrongError
        return read.strip()

    def _one_of(self, marks: Sequence[str]) -> Part:
        """Return the one of `marks` that comes next, nothing where none does."""
        held = yield from self._next()
        while held and held not in marks:
            if not any(mark.startswith(held) for mark in marks):
                return ""
            char = yield from self._read()
            held = held + char if char != END else ""
        return held

    def _argument(self, function: str, separator: str, tags: Tags) -> Generator[None, str, bool]:
        """Take an argument whose first mark was read, and tell it; return whether it has come to its end."""
        ends_key, *rest = tags.middle.split()
        key = ""
        while not key.endswith(ends_key):
            char = yield from self._read()
            if char == END or len(key) > _LONGEST_NAME:
                return False
            key += char
        for mark in rest:
            if not (yield from self._one_of([mark])):
                return False
        key = key.removesuffix(ends_key)
        kinds = kinds_of(self._schemas.get(function, {}), key)
        self._say(f"{separator}{json.dumps(key, ensure_ascii=False)}: ", Arguments)
        if kinds == TEXT:
            self._say('"', Arguments)
            ended = yield from self._until_closed(tags, None)
            self._say('"' if ended else "", Arguments)
            return ended
        collected: list[str] = []
        ended = yield from self._until_closed(tags, collected)
        self._say(as_json("".join(collected), kinds) if ended else "", Arguments)
        return ended

    def _until_closed(self, tags: Tags, collected: list[str] | None) -> Generator[None, str, bool]:
        """Take a value, told as part of a JSON text or `collected`; the line breaks around it belong to the tags."""
        closers = (tags.closer, "\n" + tags.closer)
        held, first = "", tags.middle[-1] in BLANK
        while held not in closers:
            char = yield from self._read()
            if char == END:
                return False
            if first and char == "\n":
                char = ""
            first = False
            held += char
            while held and not any(closer.startswith(held) for closer in closers):
                if collected is None:
                    self._say(json.dumps(held[0], ensure_ascii=False)[1:-1], Arguments)
                else:
                    collected.append(held[0])
                held = held[1:]
        return True
