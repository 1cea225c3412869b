"""docs/reference/jobs-api.md and jobs-openapi.json: what clients ask of jobs, from the API's own OpenAPI document."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

from slicewise_jobs.http.openapi.document import PATH, document
from slicewise_jobs.http.openapi.errors import ALWAYS

Json = dict[str, Any]
_HEAD: Final = f"""# The API of jobs

What clients send to a pool with `spec.jobs`, and get. The same in OpenAPI 3.1 is [jobs-openapi.json](jobs-openapi.json), and
`GET {PATH}` of the pool. [Jobs](../jobs.md) says what it all means, [the API](../api.md) what the pool's other paths take.
Keys are sent as for all other paths.

## Errors of every path

All errors have the body `{{"error": {{"message", "type", "param", "code"}}}}`; [their codes](errors.md#of-the-api-of-jobs).

"""


def openapi() -> str:
    """Return the document as a file."""
    return json.dumps(document(), indent=1) + "\n"


def page() -> str:
    """Return the page as Markdown."""
    found = document()
    rows = [f"| {status} | {words} |" for status, words in sorted(ALWAYS.items())]
    parts = [_HEAD + "\n".join(["| status | when |", "|---|---|", *rows, ""])]
    for path, item in found["paths"].items():
        parts += [_operation(found, f"{method.upper()} {path}", each) for method, each in item.items()]
    parts.append("## What is sent and answered\n")
    parts += [_schema(name, schema) for name, schema in found["components"]["schemas"].items() if name != "Error"]
    return "\n".join(parts)


def _operation(found: Json, name: str, operation: Json) -> str:
    lines = [f"## {name}\n", f"{operation['summary']}{_sent(operation)}\n"]
    if parameters := [each for each in operation.get("parameters", ()) if each["in"] != "path"]:
        lines += ["| parameter | type | |", "|---|---|---|"]
        for each in parameters:
            where = " (header)" if each["in"] == "header" else ""
            lines.append(f"| `{each['name']}`{where} | {_cell(each['schema'])} | {each['description']} |")
        lines.append("")
    lines += ["| status | | answer |", "|---|---|---|"]
    for status, answer in operation["responses"].items():
        if "$ref" not in answer:
            lines.append(f"| {status} | {answer['description']} | {_content(answer)} |")
        elif int(status) not in ALWAYS:
            words = found["components"]["responses"][answer["$ref"].rpartition("/")[2]]["description"]
            lines.append(f"| {status} | {words} | an error |")
    return "\n".join([*lines, ""])


def _sent(operation: Json) -> str:
    contents: Json = operation.get("requestBody", {}).get("content", {})
    kinds = [f"{_type(content['schema'])} as `{kind}`" for kind, content in contents.items()]
    return f" Body: {', '.join(kinds)}." if kinds else ""


def _content(answer: Json) -> str:
    headers = [f"`{name}`" for name in answer.get("headers", {})]
    kinds = [
        _type(content["schema"]) if kind == "application/json" else f"`{kind}`"
        for kind, content in answer.get("content", {}).items()
    ]
    return ", ".join([*kinds, *headers])


def _schema(name: str, schema: Json) -> str:
    needed = schema.get("required", ())
    more = [schema["description"] + "\n"] if "description" in schema else []
    lines = [f"### {name}\n", *more, "| field | type | |", "|---|---|---|"]
    for path, each, required in _fields(schema, "", needed):
        words = each.get("description", "")
        lines.append(f"| `{path}` | {_cell(each)}{'' if required else ', optional'} | {words} |")
    return "\n".join([*lines, ""])


def _fields(schema: Json, before: str, needed: Any) -> Iterator[tuple[str, Json, bool]]:
    """Yield the fields of an object, and of objects in it."""
    for name, each in schema.get("properties", {}).items():
        if each is False:
            continue  # said by the code that refuses it
        yield before + name, each, name in needed
        for inner in (each, *each.get("anyOf", ())):
            yield from _fields(inner, f"{before}{name}.", inner.get("required", ()))
            items = inner.get("items", {})
            yield from _fields(items, f"{before}{name}[].", items.get("required", ()))


def _cell(schema: Json) -> str:
    """Return a type with its bounds, for a table."""
    least, above, most = (schema.get(name) for name in ("minimum", "exclusiveMinimum", "maximum"))
    bounds = [
        f"{word} {value}" for word, value in (("from", least), ("above", above), ("to", most)) if value is not None
    ]
    if "maxLength" in schema:
        bounds.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        bounds.append(f"default {_value(schema['default'])}")
    return ", ".join([_type(schema), *bounds]).replace("|", "\\|")


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return _value(schema["const"])
    if "enum" in schema:
        return ", ".join(map(_value, schema["enum"]))
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    kinds = schema.get("type", "anything")
    names = [kinds] if isinstance(kinds, str) else list(kinds)
    if "pattern" in schema:
        names[0] = f"`{schema['pattern'].strip('^$')}`"
    elif names[0] == "array" and "items" in schema:
        names[0] = f"list of {_type(schema['items'])}"
    elif names[0] == "string" and "format" in schema:
        names[0] = schema["format"]
    return " or ".join(names)


def _value(value: Any) -> str:
    return f"`{value}`" if isinstance(value, str) else f"`{json.dumps(value)}`"
