"""From an object of the API server to the model, or to sentences that say what is wrong with it.

The API server has refused nearly all of it already. What gets here is an object written under an older schema, or with
validation bypassed; its user reads the sentences in `Accepted`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from slicewise.api.rules import matches
from slicewise.api.v1alpha1.inferencepool import InferencePool

NAME_PATTERN: Final = "^[a-z]([-a-z0-9]*[a-z0-9])?$"
NAME_LENGTH: Final = 40
NAME_MESSAGE: Final = (
    f"metadata.name '{{value}}' is not a pool's name: write at most {NAME_LENGTH} small letters, digits and '-', beginning "
    "with a letter, such as chat"
)
"""The names of children are made from it, and a Service's name is the strictest of them."""

_SAYINGS: Final[Mapping[str, Callable[[Any, Mapping[str, Any]], str]]] = {
    "missing": lambda _value, _limits: "is required and not there",
    "greater_than_equal": lambda value, limits: f"{value} is too small: write {limits['ge']:g} or more",
    "less_than_equal": lambda value, limits: f"{value} is too large: write {limits['le']:g} or less",
    "string_too_long": lambda value, limits: (
        f"{len(value)} characters are too many: write at most {limits['max_length']}"
    ),
    "too_long": lambda value, limits: f"{len(value)} entries are too many: write at most {limits['max_length']}",
    "too_short": lambda _value, limits: f"is empty: write {limits['min_length']} or more, or leave the field out",
    "enum": lambda value, limits: f"'{value}' is not supported: write {limits['expected']}",
    "string_type": lambda value, _limits: f"{value!r} is not a text: put it in quotation marks",
    "int_type": lambda value, _limits: f"{value!r} is not a whole number: write one without quotation marks",
    "float_type": lambda value, _limits: f"{value!r} is not a number: write one without quotation marks",
    "bool_type": lambda value, _limits: f"{value!r} is neither true nor false: write one of them",
    "tuple_type": lambda _value, _limits: "is not a list: begin each entry with '- '",
    "dict_type": lambda value, _limits: f"{value!r} is not an object: write its fields below it",
    "model_type": lambda value, _limits: f"{value!r} is not an object: write its fields below it",
}


def parse_pool(obj: Mapping[str, Any], *, stored: bool = False) -> InferencePool | list[str]:
    """Return the pool, or the messages for the user when the object is not valid (one a mistake, never empty).

    `stored`: the object was read from the API server, so what earlier versions let in is taken, with a remark.
    """
    messages: list[str] = []
    older: dict[str, str] = {}
    try:
        pool = InferencePool.model_validate(obj, context=older if stored else None)
    except ValidationError as error:
        messages += [message for detail in error.errors(include_url=False) for message in _messages(detail)]
    name = str((obj.get("metadata") or {}).get("name", ""))
    if len(name) > NAME_LENGTH or not matches(NAME_PATTERN)(name):
        messages.append(NAME_MESSAGE.format(value=name))
    return messages or (pool.with_remarks(_remarks(obj, older)) if older else pool)


def _remarks(obj: Mapping[str, Any], older: Mapping[str, str]) -> list[str]:
    """Return what is wrong by the rules of today, each with its path and with what becomes of it. `older`: message to the latter."""
    found = parse_pool(obj)
    if isinstance(found, InferencePool):
        return []
    return [f"{text}; {after}" for text in found for message, after in older.items() if text.endswith(message)]


def _messages(detail: ErrorDetails) -> list[str]:
    path = _path(detail["loc"])
    limits = detail.get("ctx", {})
    if detail["type"] == "rule":
        return [f"{'.'.join(filter(None, (path, member)))}: {text}" for member, text in limits["findings"]]
    if detail["type"] == "too_short" and detail["input"]:
        # pydantic counts the entries that are valid; the others have messages of their own.
        return []
    say = _SAYINGS.get(detail["type"])
    return [f"{path}: {say(detail['input'], limits) if say else detail['msg']}"]


def _path(location: tuple[int | str, ...]) -> str:
    """Write a location as the API server does: `spec.rollout.canary.steps[0].weight`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")
