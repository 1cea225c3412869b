"""How a family writes calls down: for the grammar of a call that is required, and for earlier calls that go back as text. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tags:
    """How arguments are written one by one: `before`, the name, `middle`, the value, `after`.

    A text stands as it is, anything else as JSON. Blanks in these marks are not needed when they are read.
    """

    before: str
    middle: str
    after: str
    ends_name: str
    """Characters that end the name of a function."""

    @property
    def closer(self) -> str:
        """Return what ends a value."""
        return self.after.strip()

    def text(self, arguments: str) -> str:
        """Return arguments, a JSON object, as the model writes them; what is no object as it is."""
        try:
            values = json.loads(arguments)
        except (ValueError, RecursionError):
            return arguments
        if not isinstance(values, dict):
            return arguments
        return "".join(
            f"{self.before}{name}{self.middle}{_written(value)}{self.after}" for name, value in values.items()
        )


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class Writing:
    """The text of calls: `begin`, calls with `between` them, `end`.

    A call is `before`, the name, `middle`, the arguments, `after`. The arguments are JSON, or written in `tags`.
    """

    before: str
    middle: str
    after: str
    begin: str = ""
    between: str = "\n"
    end: str = ""
    tags: Tags | None = None

    def text(self, calls: Sequence[tuple[str, str]]) -> str:
        """Return (name, arguments as JSON) pairs as the model writes them; nothing for no calls."""
        if not calls:
            return ""
        texts = [f"{self.before}{name}{self.middle}{self._arguments(given)}{self.after}" for name, given in calls]
        return self.begin + self.between.join(texts) + self.end

    def _arguments(self, given: str) -> str:
        return given if self.tags is None else self.tags.text(given)
