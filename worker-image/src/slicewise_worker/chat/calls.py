"""From the text of an answer to content, thoughts and tool calls, as it comes. Pure.

A state machine takes one character after the other, so what comes out does not depend on how the text was cut, and the work is the same for
each character. What could still become a mark is held back; nothing else is, except a call whose name is not known yet.

A call counts only where its name is one of the request's tools: anything else is content as it stands. What breaks off after the name was
told ends as a call that is not whole (`Ended.whole`).
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from typing import Any

from slicewise_worker.chat.channels import ChannelParser
from slicewise_worker.chat.formats import Format, Thinking
from slicewise_worker.chat.reading import BLANK, END, Event, Loop, Thought, WrongError
from slicewise_worker.chat.tag_reader import TagReader

Schemas = Mapping[str, Mapping[str, Any]]
"""The parameters of functions, by their names."""


class AnswerParser(TagReader):
    """One answer."""

    def __init__(
        self,
        form: Format | None,
        names: frozenset[str],
        thinking: Thinking | None = None,
        *,
        opened: bool = False,
        schemas: Schemas | None = None,
        either: bool = False,
    ) -> None:
        """Look for calls of the tools `names` in the form `form`, and for thoughts; `opened`: the prompt began them.

        `either`: an answer is calls or content, so that none is looked for in content once it has begun.
        """
        super().__init__(names, schemas)
        self._form = form if names else None
        self._thinking = thinking
        self._opened = opened
        self._either = either
        self._openers = self._form.openers if self._form else ()
        self._skipped = self._form.skipped if self._form else ()
        self._before = self._form.before if self._form else ()
        self._marks = self._openers + self._before
        self._plain = False
        """Whether the next character is content, unless it begins a mark."""
        starts = "".join({mark[0] for mark in self._marks})
        self._stops = re.compile(f"[\\s{re.escape(starts)}]") if self._marks else None
        self._start(self._answer())

    def feed(self, text: str) -> list[Event]:
        """Return what is known by more text."""
        at = 0
        while at < len(text):
            if self._plain:
                found = self._stops.search(text, at) if self._stops else None
                until = found.start() if found else len(text)
                if until > at:
                    self._say(text[at:until])
                    at = until
                    continue
            self._machine.send(text[at])
            at += 1
        return self._taken()

    def _answer(self) -> Loop:
        if self._thinking is not None:
            yield from self._thoughts(self._thinking)
        if self._form is not None and self._form.bare:
            yield from self._bare("")
        yield from self._content()

    def _thoughts(self, thinking: Thinking) -> Loop:
        """Take thoughts from the beginning of the answer, without the blanks around them."""
        if not self._opened and not (yield from self._begins_with(thinking.open)):
            return
        yield from self._skip_blanks()
        held = blanks = ""
        while True:
            char = yield from self._char()
            if char == END:
                if held:
                    self._say(blanks + held, Thought)
                return
            if not held and char in BLANK:
                # One at a time, and seldom more than two: a long run is let go of.
                blanks += char
                if len(blanks) > 64:
                    self._say(blanks, Thought)
                    blanks = ""
                continue
            held += char
            if held == thinking.close:
                yield from self._skip_blanks()
                return
            while held and not thinking.close.startswith(held):
                self._say(blanks + held[0], Thought)
                blanks, held = "", held[1:]
                if held and held[0] in BLANK:
                    self._again, held = held + self._again, ""

    def _begins_with(self, mark: str) -> Generator[None, str, bool]:
        """Whether the answer begins with `mark`, which is taken then, and nothing is otherwise."""
        blanks = yield from self._skip_blanks()
        held = ""
        while held != mark:
            char = yield from self._char()
            held += char
            if char == END or not mark.startswith(held):
                self._again = blanks + held + self._again
                return False
        return True

    def _content(self) -> Loop:
        """Say what is for people, and take the calls in it. Blanks and marks in front of a call belong to nothing."""
        blanks: list[str] = []
        held = ""
        while True:
            self._plain = not held and not blanks and not self._again
            char = yield from self._char()
            self._plain = False
            if char == END:
                self._say("".join(blanks) + held)
                return
            if not held and char in BLANK and self._marks:
                blanks.append(char)
                continue
            held += char
            if held in self._openers:
                blanks, held, opened = [], "", "".join(blanks) + held
                yield from self._from(opened)
                continue
            if held in self._before:
                # Content too, as blanks are, if no call follows.
                blanks.append(held)
                held = ""
                continue
            if not self._could_be_mark(held):
                # The first character is none of a mark, what follows it may be.
                self._say("".join(blanks) + held[0])
                blanks, held, self._again = [], "", held[1:] + self._again
                self._begun()

    def _begun(self) -> None:
        """Look for no calls from here on, where content has none."""
        if self._either and not self._calls:
            self._marks = self._openers = self._before = ()
            self._stops = None

    def _could_be_mark(self, text: str) -> bool:
        return any(mark.startswith(text) for mark in self._marks)

    def _from(self, opened: str) -> Loop:
        """Take the calls that `opened` begins, blanks in front of it included, and what follows them up to content or another opener."""
        self._raw = [opened]
        try:
            if self._form is not None and self._form.writing.tags is not None:
                yield from self._tagged(self._form.writing, self._form.writing.tags)
            elif self._form is not None and self._form.header is not None:
                yield from self._named(self._form.header)
            else:
                yield from self._objects()
        except WrongError as wrong:
            self._fail(wrong)
            return
        yield from (self._bare(";") if self._form is not None and self._form.bare else self._skip_marks())

    def _fail(self, wrong: WrongError) -> None:
        self._say("".join(self._raw))
        self._again = wrong.unread + self._again
        self._begun()

    def _skip_marks(self) -> Loop:
        """Take blanks and marks that say nothing after a call."""
        held, marks = "", self._openers + self._skipped
        while True:
            char = yield from self._char()
            if char == END or not any(mark.startswith(held + char) for mark in marks):
                if char != END and not held and char in BLANK:
                    continue
                self._again = held + char + self._again
                return
            held += char
            if held in self._openers or held in self._before:
                self._again = held + self._again
                return
            if held in self._skipped:
                held = ""

    def _bare(self, separators: str) -> Loop:
        """Take objects that are calls without a mark."""
        while True:
            blanks = yield from self._skip_blanks()
            char = yield from self._char()
            if char != END and char in separators:
                continue
            if char != "{":
                self._again = ("" if self._calls else blanks) + char + self._again
                return
            self._raw = [blanks + char]
            try:
                yield from self._object()
            except WrongError as wrong:
                self._fail(wrong)
                return
            separators = ";"


Parser = AnswerParser | ChannelParser


def parser_for(
    form: Format,
    names: frozenset[str],
    thinking: Thinking | None = None,
    *,
    opened: bool = False,
    apart: bool = True,
    schemas: Schemas | None = None,
) -> Parser:
    """Return a parser for an answer in the form `form`; `apart`: thoughts are not left in the text."""
    if form.channels:
        return ChannelParser(names, apart=apart)
    return AnswerParser(form, names, thinking if apart else None, opened=opened, schemas=schemas)
