"""The fields of requests that are about custom tools, whose input is a text and no JSON. To the model they are functions with one text."""

from __future__ import annotations

import json
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from slicewise_worker.http.closed import Closed
from slicewise_worker.http.lark_pattern import LarkError, lark_pattern

INPUT: Final = "input"
"""The one argument of the function."""
MOST_PATTERN: Final = 4096

ToolName = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]


Syntax = Literal["regex", "lark"]


class CustomGrammar(Closed):
    """What the input keeps to."""

    syntax: Syntax
    definition: Annotated[str, Field(max_length=MOST_PATTERN)]

    @field_validator("definition")
    @classmethod
    def _can_be_kept(cls, definition: str, info: ValidationInfo) -> str:
        if info.data.get("syntax") == "lark":
            try:
                lark_pattern(definition)
            except LarkError as error:
                raise PydanticCustomError("grammar", "{words}", {"words": str(error)}) from error
        return definition

    @property
    def pattern(self) -> str:
        """Return what the whole input has to match."""
        inner = self.definition if self.syntax == "regex" else lark_pattern(self.definition)
        return f"^(?:{inner})$"


class CustomFormat(Closed):
    """The form of the input."""

    type: Literal["text", "grammar"]
    grammar: CustomGrammar | None = None

    @model_validator(mode="after")
    def _one_form(self) -> CustomFormat:
        if (self.type == "grammar") != (self.grammar is not None):
            raise PydanticCustomError("format", "needs 'grammar' with the type 'grammar', and with no other")
        return self


class Custom(Closed):
    """A custom tool, which the client runs."""

    name: ToolName
    description: Annotated[str, Field(max_length=16 << 10)] | None = None
    format: CustomFormat | None = None

    @property
    def pattern(self) -> str | None:
        """Return what the whole input has to match, None for any text."""
        grammar = self.format.grammar if self.format else None
        return None if grammar is None else grammar.pattern

    @property
    def parameters(self) -> dict[str, Any]:
        """Return the schema of the function that it is to the model."""
        text = {"type": "string"} if self.pattern is None else {"type": "string", "pattern": self.pattern}
        return {"type": "object", "properties": {INPUT: text}, "required": [INPUT], "additionalProperties": False}


class CalledCustom(Closed):
    """The custom tool of an earlier call."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    input: str

    @property
    def arguments(self) -> str:
        """Return its input as the argument of a function."""
        return json.dumps({INPUT: self.input}, ensure_ascii=False)
