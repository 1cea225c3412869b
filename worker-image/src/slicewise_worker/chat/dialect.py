"""The dialect of Jinja that chat templates are written in: that of Hugging Face's transformers.

A template is untrusted input (CVE-2024-34359), so this runs in Jinja's sandbox, and the sandbox in a process of its own
(`child.py`), which bounds what the sandbox does not: time, memory, and what comes out. Imports nothing but Jinja.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, NoReturn, Protocol

from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment


class RefusedByTemplateError(Exception):
    """The template itself called `raise_exception`; the message is its own."""


class GenerationTag(Extension):
    """`{% generation %}…{% endgeneration %}`: marks what a model is trained on. For a prompt, the body as it stands."""

    tags = {"generation"}  # noqa: RUF012 - an instance variable in Jinja's types

    def parse(self, parser: Parser) -> nodes.Node:
        """Return the body in a scope of its own, as the block call of transformers has one."""
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return nodes.Scope(body, lineno=line)


def _raise_exception(message: object = "the template refuses this conversation") -> NoReturn:
    raise RefusedByTemplateError(str(message))


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | list[str] | None = None,
    sort_keys: bool = False,
) -> str:
    """The filter of transformers: Jinja's own escapes <, > and & for HTML, which no model was trained on."""
    pair = None if separators is None else (separators[0], separators[1])
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=pair, sort_keys=sort_keys)


def _strftime_now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


class Render(Protocol):
    """A template as a function to a prompt."""

    def __call__(
        self,
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        variables: dict[str, Any] | None = None,
        /,
    ) -> str:
        """Return the prompt; `variables` are what a client sets, and nothing that is set here."""


def compile_template(source: str, known: dict[str, Any]) -> Render:
    """Return the template as a function from messages to a prompt; `known`: what else it gets (`bos_token`, …).

    Raises `jinja2.TemplateError` when it does not compile; what the returned function raises is up to the template.
    """
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    template = environment.from_string(source)

    def render(
        messages: list[dict[str, Any]],
        tools: list[dict[str, Any]] | None = None,
        variables: dict[str, Any] | None = None,
        /,
    ) -> str:
        # transformers passes `tools` and `documents` to every template: `tools is none` holds, and `tools is defined` too.
        own = {"messages": messages, "add_generation_prompt": True, "tools": tools, "documents": None}
        return template.render({**(variables or {}), **known, **own})

    return render
