"""Texts of clients that name control tokens, marked so that they stay text. Pure.

The chat template puts control tokens between the texts of a conversation, and the tokenizer reads the whole: a user who writes
`<|end|>` would end a turn and begin one in another's name. So each control token in a text of the client is marked after its
first character before it is rendered. The tokenizer cuts there, and neither part is a control token. A template that
cuts a text short takes a mark with it or leaves it, and both are safe.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any, Final

MARK: Final = "\ufdd0"
"""A code point that Unicode keeps for use within programs; one that a client sends becomes U+FFFD."""


class Plain:
    """Marks texts for one vocabulary."""

    def __init__(self, control: Collection[str]) -> None:
        """Take the texts of the control tokens; those of one character cannot be cut, and no vocabulary in use has one."""
        self._control = frozenset(text for text in control if len(text) > 1)
        self._lengths = sorted({len(text) for text in self._control})
        seconds: dict[str, set[str]] = {}
        for text in self._control:
            seconds.setdefault(text[0], set()).add(text[1])
        pairs = (
            f"{re.escape(one)}(?=[{''.join(map(re.escape, sorted(two)))}])" for one, two in sorted(seconds.items())
        )
        self._begin = re.compile("|".join(pairs)) if seconds else None

    def text(self, text: str) -> str:
        """Return `text` with its control tokens marked."""
        text = text.replace(MARK, "\ufffd")
        return text if self._begin is None else self._begin.sub(self._marked, text)

    def value(self, value: Any) -> Any:
        """Return a copy of a JSON value with all of its texts marked, names too."""
        match value:
            case str():
                return self.text(value)
            case dict():
                return {self.value(name): self.value(inner) for name, inner in value.items()}
            case list() | tuple():
                return [self.value(inner) for inner in value]
            case _:
                return value

    def _marked(self, found: re.Match[str]) -> str:
        start, text = found.start(), found.string
        control = any(text[start : start + length] in self._control for length in self._lengths)
        return found[0] + MARK if control else found[0]
