"""Answers in channels, as gpt-oss writes them: thoughts in `analysis`, content in `final`, and calls in messages to functions. Pure.

<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>{…}<|call|>
"""

from __future__ import annotations

import re
from typing import Final

from slicewise_worker.chat.call_reader import CallReader
from slicewise_worker.chat.reading import END, Content, Loop, Part, Thought

MESSAGE: Final = "<|message|>"
CONTENT_HEADER: Final = f"<|channel|>final{MESSAGE}"
"""What an answer begins with that has no thoughts."""
_ENDS: Final = ("<|end|>", "<|return|>", "<|call|>")
_BEGINS: Final = ("<|start|>", "<|channel|>")
_OUTSIDE: Final = (*_BEGINS, *_ENDS)
_TO: Final = " to="
_LONGEST_HEADER: Final = 256
_HEADER: Final = re.compile(
    r"(?:<\|start\|>)?(?:assistant)?\s*(?:to=(?P<first>[\w.-]+)\s*)?"
    r"(?:<\|channel\|>(?P<channel>\w+)\s*(?:to=(?P<second>[\w.-]+)\s*)?)?(?:<\|constrain\|>\s*)?\w*\s*<\|message\|>"
)
_FUNCTIONS: Final = "functions."


class ChannelParser(CallReader):
    """One answer in channels. What has no header is content."""

    def __init__(self, names: frozenset[str], *, apart: bool = True) -> None:
        """Look for calls of `names`; without `apart` thoughts stay in the text, as the model wrote them."""
        super().__init__(names)
        self._apart = apart
        self._start(self._answer())

    def _answer(self) -> Loop:
        while not self._over:
            self._raw = []
            header = yield from self._header()
            found = _HEADER.fullmatch(header)
            if found is None:
                self._say("" if header.startswith(_OUTSIDE) and self._over else header)
                yield from self._body(Content)
                continue
            recipient = found["second"] or found["first"]
            if recipient:
                yield from self._call(recipient.removeprefix(_FUNCTIONS))
            elif found["channel"] != "analysis":
                yield from self._body(Content)
            elif self._apart:
                yield from self._body(Thought)
            else:
                self._say(header)
                yield from self._body(Content, kept=True)

    @property
    def _over(self) -> bool:
        return self._ended and not self._again

    def _header(self) -> Part:
        """Return the text up to where a message begins, or as much as shows that it is no header; without marks that end one."""
        held = ""
        while True:
            char = yield from self._read()
            held += char
            if held in _ENDS:
                held = ""
            elif char == END or held.endswith(MESSAGE) or len(held) > _LONGEST_HEADER or not _could_begin(held):
                return held

    def _body(self, kind: type[Content] | type[Thought], *, kept: bool = False) -> Loop:
        """Say a message up to its end, or to the header of another one; `kept`: with the mark of its end."""
        held = ""
        while True:
            char = yield from self._char()
            if char == END:
                self._say(held, kind)
                return
            held += char
            if held in _ENDS:
                self._say(held if kept else "", kind)
                return
            if held in _BEGINS:
                self._again = held + self._again
                return
            while held and not any(mark.startswith(held) for mark in _OUTSIDE):
                self._say(held[0], kind)
                held = held[1:]

    def _call(self, name: str) -> Loop:
        """Take a message to a function. One to anything else is content as it stands."""
        char = yield from self._next()
        if name in self._names and char == "{":
            whole = yield from self._arguments(name)
            self._finish(whole=whole)
            yield from self._skip_blanks()
            return
        self._again = self._unread(char) + self._again
        self._say("".join(self._raw))
        yield from self._body(Content, kept=True)


def _could_begin(held: str) -> bool:
    """Whether a header may begin so."""
    return held.startswith((*_BEGINS, _TO)) or any(mark.startswith(held) for mark in (*_OUTSIDE, _TO))
