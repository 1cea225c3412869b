"""What clients set of a chat template's variables, within bounds."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import PydanticCustomError

from slicewise_worker.http.bounded_json import check_size

_MOST: Final = 16
_MOST_CHARACTERS: Final = 4096
_DEEPEST: Final = 8
_NAME: Final = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
RESERVED: Final = frozenset(
    # What the worker gives to the template,
    {"messages", "tools", "custom_tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}
    # functions of the dialect, which a variable would hide,
    | {"raise_exception", "strftime_now", "range", "dict", "lipsum", "cycler", "joiner", "namespace"}
    # and names that Jinja itself sets.
    | {"self", "super", "loop", "caller", "varargs", "kwargs"}
)


def template_variables(value: Any) -> Any:
    """Accept a few names with small JSON values."""
    if value is None:
        return None
    if not isinstance(value, dict) or len(value) > _MOST:
        raise PydanticCustomError("variables", f"must be an object with at most {_MOST} entries")
    if wrong := next((name for name in value if not _NAME.fullmatch(name) or name in RESERVED), None):
        raise PydanticCustomError(
            "variables",
            "must have names of letters, digits and _ that the worker does not set, not {name}",
            {"name": repr(wrong[:40])},
        )
    check_size(value, "variables", levels=_DEEPEST, characters=_MOST_CHARACTERS)
    return value
