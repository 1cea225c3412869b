"""The grammar of arguments that are written in tags, one by one, by a function's schema. What it cannot keep is refused by name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from slicewise_worker.chat.kinds import ALL, kinds_of, resolved
from slicewise_worker.chat.writing import Tags
from slicewise_worker.engine.constraint import GrammarError

SPACE: Final = r"[\x20\x0A\x0D\x09]{1,40}"
"""Between two parts of a JSON text: without a bound a small model may write blanks until its tokens are used up."""
_KNOWN: Final = frozenset(
    {"type", "properties", "required", "additionalProperties", "title", "description", "default", "examples", "example"}
    | {"$defs", "definitions", "$schema", "$id", "$comment"}
)
_BESIDE: Final = frozenset({"$ref", "title", "description", "default", "examples", "example", "$comment", "nullable"})
_OF_TEXT: Final = frozenset({"type", "enum", "const", "minLength", "maxLength", "anyOf", "oneOf"}) | _BESIDE
_NAME: Final = re.compile(r"[^<>\s]{1,64}")

Literal = Callable[[str], str]
"""From a text to strings and special tokens of the grammar."""


def argument_rules(number: int, parameters: Mapping[str, Any], tags: Tags, literal: Literal) -> list[str]:
    """Return the rules of `arguments_<number>`; raises `GrammarError`."""
    if (odd := next((word for word in parameters if word not in _KNOWN), None)) is not None:
        raise GrammarError(f"the keyword '{odd[:64]}' is not supported, because this model writes arguments in tags")
    properties = parameters.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    listed = parameters.get("required")
    required = [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []
    parts, rules = [], []
    for place, name in enumerate(dict.fromkeys([*properties, *required])):
        if not _NAME.fullmatch(name):
            raise GrammarError(f"the name '{name[:64]}' cannot be written in a tag")
        rule = f"argument_{number}_{place}"
        parts.append(rule if name in required else f"{rule}?")
        head = literal(f"{tags.before}{name}{tags.middle}")
        rules += _value_rules(rule, head, parameters, name, tags, literal)
    return [f"arguments_{number}: {' '.join(parts)}" if parts else f'arguments_{number}: ""', *rules]


def any_argument_rules(number: int, tags: Tags, literal: Literal) -> list[str]:
    """Return the rules of arguments that no schema is enforced for."""
    key, value = f"KEY_{number}", f"free_{number}"
    head = f"{literal(tags.before)} {key} {literal(tags.middle)}"
    return [f"arguments_{number}: ({head} {value})*", f"{key}: /[^<>\\s]{{1,64}}/", *_text(value, "*", tags, literal)]


def _value_rules(
    rule: str, head: str, parameters: Mapping[str, Any], name: str, tags: Tags, literal: Literal
) -> list[str]:
    schema = _followed(parameters, name)
    if "enum" in schema or "const" in schema:
        values = schema.get("enum", [schema.get("const")])
        if not isinstance(values, list) or not values:
            raise GrammarError(f"'enum' of '{name}' is not a list of values")
        texts = [value if isinstance(value, str) else json.dumps(value) for value in values]
        return [f"{rule}: {head} ({' | '.join(literal(text + tags.after) for text in texts)})"]
    kinds = kinds_of(parameters, name)
    if "string" in kinds:
        if kinds != ALL and (odd := next((word for word in schema if word not in _OF_TEXT), None)) is not None:
            raise GrammarError(f"'{odd[:64]}' of '{name}' is not supported, because this model writes texts in tags")
        least, most = _length(schema, "minLength", name) or 0, _length(schema, "maxLength", name)
        count = f"{{{least},{'' if most is None else most}}}"
        return [f"{rule}: {head} {rule}_text", *_text(f"{rule}_text", count, tags, literal)]
    definitions = {word: parameters[word] for word in ("$defs", "definitions") if word in parameters}
    whole = {**definitions, **_own(parameters, name), "x-guidance": {"whitespace_pattern": SPACE}}
    return [f"{rule}: {head} {rule}_json {literal(tags.after)}", f"{rule}_json: %json {json.dumps(whole)}"]


def _own(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the schema of an argument; that of the others where it has none of its own, and nothing where it is no object."""
    properties = parameters.get("properties")
    schema = properties.get(name) if isinstance(properties, dict) else None
    schema = parameters.get("additionalProperties") if schema is None else schema
    return schema if isinstance(schema, dict) else {}


def _followed(parameters: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the schema of an argument, references followed a few times."""
    schema: Any = _own(parameters, name)
    for _ in range(16):
        if not isinstance(schema, dict) or not isinstance(reference := schema.get("$ref"), str):
            break
        schema = resolved(parameters, reference)
    return schema if isinstance(schema, dict) else {}


def _length(schema: Mapping[str, Any], word: str, name: str) -> int | None:
    """Return a bound of a text's length, None where the schema sets none."""
    if (value := schema.get(word)) is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0 or value != int(value):
        raise GrammarError(f"'{word}' of '{name}' is not a whole number of characters")
    return int(value)


def _text(rule: str, count: str, tags: Tags, literal: Literal) -> list[str]:
    """Return the rules of a text and what ends it."""
    after = literal(tags.after)
    if "<[" in after:
        # A special token ends it, and no text has one.
        return [f"{rule}: {rule.upper()} {after}", f"{rule.upper()}: /(?s:.){count}/"]
    return [f"{rule}[lazy]: /(?s:.){count}{regex(tags.after)}/"]


def regex(text: str) -> str:
    """Return the expression for `text` in the dialect of Lark."""
    return re.escape(text).replace("/", "\\/").replace("\\\n", "\\n").replace("\\ ", " ")
