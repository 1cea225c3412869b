"""Views as plain data for `-o json` and `-o yaml`: every field, in camelCase, in declared order. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from slicewise_cli.options import Form


def plain(value: Any) -> Any:
    """Return a view as dicts, lists and scalars."""
    if is_dataclass(value) and not isinstance(value, type):
        return {_camel(field.name): plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def dump(value: Any, form: Form, *, stream: bool = False) -> str:
    """Return a view as text. `stream`: as one of many documents, so JSON on one line and YAML after `---`."""
    data = plain(value)
    if form is Form.YAML:
        import yaml  # noqa: PLC0415 - JSON does not need it

        text: str = yaml.safe_dump(data, sort_keys=False, allow_unicode=True)
        return f"---\n{text}".rstrip() if stream else text.rstrip()
    return json.dumps(data, ensure_ascii=False, indent=None if stream else 2)
