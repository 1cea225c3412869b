"""Settings from the environment, by names in capital letters alone.

A pool's `envFrom` can bring in variables of any name. The operator sets every one of ours then, and an empty one counts as unset; a name in
other letters must not fill its place. Lists are JSON. Read without pydantic-settings, which takes nearly as long to load as pydantic:
more than 0.1 s of processor time in each worker and each fetch.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, ClassVar, Self, get_origin

from pydantic import BaseModel, ConfigDict


class CapitalSettings(BaseModel):
    """Settings that are read from variables in capital letters only; empty ones count as not set."""

    model_config = ConfigDict(extra="forbid")
    prefix: ClassVar[str]
    """Of the names of variables."""

    @classmethod
    def read(cls, **given: Any) -> Self:
        """Return the settings of the environment, and what is `given` in their place; raises `ValidationError`."""
        found: dict[str, Any] = {}
        for name, field in cls.model_fields.items():
            if text := os.environ.get(f"{cls.prefix}{name.upper()}"):
                found[name] = _listed(text) if get_origin(field.annotation) is tuple else text
        return cls.model_validate({**found, **given})


def _listed(text: str) -> Any:
    # What is no JSON is refused as what is no list.
    with suppress(ValueError):
        return json.loads(text)
    return text
