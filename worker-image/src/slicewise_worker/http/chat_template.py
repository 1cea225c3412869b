"""From messages to a prompt, by the chat template in the model file.

The template is untrusted input (CVE-2024-34359): it runs in Jinja's sandbox and sees only what is passed here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

from jinja2.exceptions import SecurityError, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from slicewise_worker.http.errors import ApiError
from slicewise_worker.http.schema import Message


class _RefusedByTemplateError(Exception):
    """The template itself called `raise_exception`."""


def _raise_exception(message: str) -> NoReturn:
    raise _RefusedByTemplateError(message)


def _to_json(value: Any, indent: int | None = None, ensure_ascii: bool = False) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=ensure_ascii)


class ChatTemplate:
    """The chat template of a model."""

    def __init__(self, source: str | None, bos: str, eos: str) -> None:
        """Compile `source`; a template that does not compile is reported by the first request that needs it."""
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise_exception
        environment.globals["strftime_now"] = lambda form: datetime.now().astimezone().strftime(form)
        self._known = {"bos_token": bos, "eos_token": eos}
        self._problem = "the model file carries no chat template; use /v1/completions" if not source else None
        try:
            self._template = environment.from_string(source or "")
        except TemplateError as error:
            self._problem = f"the model's chat template is broken ({error}); use /v1/completions"

    def render(self, messages: Sequence[Message]) -> str:
        """Return the prompt for `messages`; raises `ApiError` in the template's own words where it refuses them."""
        if self._problem:
            raise ApiError(400, self._problem, code="no_chat_template")
        plain = [
            {"role": "system" if message.role == "developer" else message.role, "content": message.content}
            for message in messages
        ]
        try:
            return self._template.render(messages=plain, add_generation_prompt=True, **self._known)
        except _RefusedByTemplateError as error:
            raise ApiError(400, f"Invalid 'messages': {error}", code="invalid_value", param="messages") from error
        except SecurityError as error:
            raise ApiError(500, "the model's chat template tried what it may not do", code="bad_template") from error
        except (TemplateError, ValueError, TypeError, OverflowError, LookupError, AttributeError) as error:
            raise ApiError(500, f"the model's chat template failed: {error}", code="bad_template") from error
