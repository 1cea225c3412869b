"""Rules on values: one declaration, checked twice.

The API server checks a rule as CEL when an object is written; `parse_pool` checks the same in Python when it is read. Both
say the same sentence. `tests/apiserver/test_rules.py` holds the two against one table.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

VALIDATIONS: Final = "x-kubernetes-validations"

EXPECTED: Final = "expected: "
"""What a plain message begins with, before `Rule.expects`."""

_PLACEHOLDER: Final = re.compile(r"\{(\w+)\}")
_SELF: Final[Mapping[str, tuple[str, Callable[[Any], Any]]]] = {"value": ("self", lambda value: value)}


@dataclass(frozen=True, slots=True)
class Older:
    """What earlier versions let in: a stored value that breaks a newer rule is still served, and cannot be written again."""

    holds: Callable[[Any], bool]
    meanwhile: str
    """What becomes of it, behind the rule's message."""


@dataclass(frozen=True, eq=False)
class Rule:
    """A condition that a value must meet. As an annotation it goes with a scalar, in `ApiModel.rules` with an object.

    `cel` and `holds` say the same. `message` is what the user reads: what is wrong, and what to write instead.
    `expects` is the rule in a few words, for the reference page and for where the API server cannot make the message.
    Placeholders in braces are replaced by `values`: name → (CEL expression, the same from the Python value).
    `field`: the member of the object that the message is about.
    """

    cel: str
    holds: Callable[[Any], bool]
    message: str
    expects: str
    values: Mapping[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=lambda: _SELF)
    field: str | None = None
    older: Older | None = None

    def explain(self, value: Any) -> str:
        """Return the message for a value that breaks the rule."""
        return _PLACEHOLDER.sub(lambda match: str(self.values[match[1]][1](value)), self.message)

    def schema(self) -> dict[str, str]:
        """Return the rule as one entry of `x-kubernetes-validations`."""
        # The API server falls back to the plain message when the expression fails (a line break in a value).
        entry = {"rule": self.cel, "message": EXPECTED + self.expects}
        parts = _PLACEHOLDER.split(self.message)
        if len(parts) > 1:
            # `format` and not `+`: the cost of adding texts is estimated from their longest, and a number's is unbounded.
            text = "%s".join(part.replace("%", "%%") for part in parts[::2])
            arguments = ", ".join(self.values[name][0] for name in parts[1::2])
            entry["messageExpression"] = f"{cel_string(text)}.format([{arguments}])"
        if self.field is not None:
            entry["fieldPath"] = f".{self.field}"
        return entry

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Check the rule after the type and the bounds."""
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the rule to the field's schema."""
        result = handler(schema)
        return {**result, VALIDATIONS: [*result.get(VALIDATIONS, ()), self.schema()]}

    def _check(self, value: Any, info: ValidationInfo) -> Any:
        if not self.met(value, info):
            raise broken([("", self.explain(value))])
        return value

    def met(self, value: Any, info: ValidationInfo) -> bool:
        """Return whether the rule holds, or need not: in an object that is read from the store, for a value that earlier versions let in.

        Such a value is noted in the validation's context, a dict from the rule's message to what becomes of it.
        """
        if self.holds(value):
            return True
        if info.context is None or self.older is None or not self.older.holds(value):
            return False
        info.context[self.explain(value)] = self.older.meanwhile
        return True


@dataclass(frozen=True, eq=False)
class Transition:
    """A rule on a change (`oldSelf`). Only the API server sees both sides, so there is no Python twin."""

    cel: str
    message: str
    field: str | None = None
    """Path of the member that the message is about, where the rule stands at an object."""

    def schema(self) -> dict[str, str]:
        """Return the rule as one entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message} | ({"fieldPath": self.field} if self.field else {})

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Add the rule to the field's schema."""
        result = handler(schema)
        return {**result, VALIDATIONS: [*result.get(VALIDATIONS, ()), self.schema()]}


def broken(findings: list[tuple[str, str]]) -> PydanticCustomError:
    """Return the error that carries (member or empty, message) of each broken rule to `parse_pool`."""
    text = "; ".join(message for _, message in findings)
    return PydanticCustomError("rule", "{text}", {"text": text, "findings": findings})


def cel_string(text: str) -> str:
    """Return `text` as a CEL string literal."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def matches(pattern: str) -> Callable[[object], bool]:
    """Return a check whether the whole text matches. Patterns are written for RE2 and Python alike."""
    compiled = re.compile(pattern)
    return lambda value: compiled.fullmatch(str(value)) is not None


def cel_matches(pattern: str, of: str = "self") -> str:
    """Return the CEL expression for `matches(pattern)`."""
    return f"{of}.matches({cel_string(pattern)})"
