"""The input of a custom tool out of the arguments that the model wrote for it, as they come. Pure."""

from __future__ import annotations

import json
from typing import Final

_BEGIN: Final = '{"input":"'
_MOST_HEAD: Final = 64
_LONGEST_ESCAPE: Final = 6
_BLANK: Final = " \t\r\n"


class InputText:
    """From `{"input": "…"}`, piece by piece, to the text in it. Arguments that begin otherwise are the input as they stand."""

    def __init__(self) -> None:
        self._head = ""
        """What came before the text, as long as it may be what begins it."""
        self._state = "head"
        self._escape = self._half = ""

    def feed(self, piece: str) -> str:
        """Return what is known of the input by more of the arguments."""
        return "".join(map(self._next, piece)).encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _next(self, char: str) -> str:
        match self._state:
            case "head":
                return self._of_head(char)
            case "text":
                return self._of_text(char)
            case "as it is":
                return char
            case _:
                return ""

    def _of_head(self, char: str) -> str:
        self._head += char
        read = self._head.translate(dict.fromkeys(map(ord, _BLANK)))
        if not _BEGIN.startswith(read) or len(self._head) > _MOST_HEAD:
            self._state = "as it is"
            return self._head
        if read == _BEGIN:
            self._state = "text"
        return ""

    def _of_text(self, char: str) -> str:
        if not self._escape:
            if char == "\\":
                self._escape = char
                return ""
            if char == '"':
                self._state = "over"
                return self._joined("")
            return self._joined(char)
        self._escape += char
        if self._escape[1] == "u" and len(self._escape) < _LONGEST_ESCAPE:
            return ""
        escape, self._escape = self._escape, ""
        try:
            return self._joined(str(json.loads(f'"{escape}"')))
        except ValueError:
            return self._joined(escape)

    def _joined(self, text: str) -> str:
        """Return `text` with the first half of a character that came before it."""
        joined, self._half = self._half + text, ""
        if text and len(joined) == 1 and "\ud800" <= joined <= "\udbff":
            self._half, joined = joined, ""
        return joined
