"""Writes what is generated from the values models: values.yaml, values.schema.json, the table in the chart's README, and the template
that fills in values which are missing (`helm upgrade --reuse-values` brings those of an older chart). And the dashboards, from their code.

    python charts/tools/chart_files.py            write them
    python charts/tools/chart_files.py --check    exit 1 and name the files that are stale

Called by `make generate` and `make check-generated`. Reads and writes only `charts/slicewise/`.
"""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml
from chart_values import ChartValues
from dashboards import dashboards
from value_group import Group

CHART: Final = Path(__file__).parents[1] / "slicewise"
TABLE_START: Final = "<!-- values: generated from charts/tools/chart_values.py by `make generate` -->"
TABLE_END: Final = "<!-- end of values -->"
_HEADER: Final = """\
# Values of the Slicewise chart. Generated from charts/tools/chart_values.py by `make generate`: change them there.
# values.schema.json closes every map of ours, so a misspelt value fails the installation instead of doing nothing.
"""


def values_schema() -> dict[str, Any]:
    """Return the JSON schema of the values, in the dialect that Helm 3 and Helm 4 both read."""
    schema = ChartValues.model_json_schema(by_alias=True)
    _tidy(schema)
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Values of the Slicewise chart"} | schema


def _tidy(node: object) -> None:
    """Remove what pydantic adds and the chart does not: titles, what is required, defaults of whole maps, which repeat their fields'."""
    if isinstance(node, dict):
        if isinstance(node.get("title"), str):
            del node["title"]
        if "$ref" in node:
            node.pop("default", None)
        # Nothing is required: a value that is missing gets its default (`_fill.tpl`).
        if isinstance(node.get("required"), list):
            del node["required"]
        for child in node.values():
            _tidy(child)
    elif isinstance(node, list):
        for child in node:
            _tidy(child)


def fields(group: Group) -> Iterator[tuple[str, str, Any]]:
    """Yield (name as users write it, what it does, default) for the fields of one map."""
    for name, field in type(group).model_fields.items():
        yield field.alias or name, " ".join((field.description or "").split()), getattr(group, name)


def values_yaml() -> str:
    """Return values.yaml: each default below its description."""
    return _HEADER + "".join(_value_lines(ChartValues(), ""))


def _value_lines(group: Group, indent: str) -> Iterator[str]:
    for name, description, default in fields(group):
        if not indent:
            yield "\n"
        for line in textwrap.wrap(description, 110 - len(indent)):
            yield f"{indent}# {line}\n"
        if isinstance(default, Group):
            yield f"{indent}{name}:\n"
            yield from _value_lines(default, indent + "  ")
        else:
            yield textwrap.indent(yaml.safe_dump({name: default}, sort_keys=False), indent)


def values_table() -> str:
    """Return the README's table: value, what it does, default."""
    rows = [f"| `{path}` | {text} | `{default}` |\n" for path, text, default in _rows(ChartValues(), "")]
    return "| value | what it does | default |\n|---|---|---|\n" + "".join(rows)


def _rows(group: Group, prefix: str) -> Iterator[tuple[str, str, str]]:
    for name, description, default in fields(group):
        if isinstance(default, Group):
            yield from _rows(default, f"{prefix}{name}.")
        else:
            yield prefix + name, description.replace("|", "\\|"), json.dumps(default)


_FILL = """\
{{/*
Made by `make generate` from charts/tools. Do not edit.

Values that an older chart did not have, and that `helm upgrade --reuse-values` therefore does not bring, get their default. Each template
begins with it. What is there is left alone, so a null inside of a Kubernetes object stays a null.
*/}}
{{- define "slicewise.fill" -}}
{{- range include "slicewise.defaults" . | fromJsonArray -}}
{{- $at := $.Values -}}
{{- range .path -}}
{{- if not (kindIs "map" (get $at .)) -}}{{- $_ := set $at . dict -}}{{- end -}}
{{- $at = get $at . -}}
{{- end -}}
{{- if not (hasKey $at .name) -}}{{- $_ := set $at .name .default -}}{{- end -}}
{{- end -}}
{{- end -}}

{{- define "slicewise.defaults" -}}
[
%s
]
{{- end -}}
"""


def fill_template() -> str:
    """Return the template with each default and its path."""
    lines = [
        json.dumps({"path": path, "name": name, "default": value}) for path, name, value in _leaves(ChartValues(), [])
    ]
    return _FILL % ",\n".join(lines)


def _leaves(group: Group, path: list[str]) -> Iterator[tuple[list[str], str, Any]]:
    for name, _, default in fields(group):
        if isinstance(default, Group):
            yield from _leaves(default, [*path, name])
        elif default is not None:
            yield path, name, default


def generated() -> dict[Path, str]:
    """Return the text of each generated file. Raises ValueError when the README lost the markers of its table."""
    readme = CHART / "README.md"
    head, start, rest = readme.read_text().partition(TABLE_START)
    _, end, tail = rest.partition(TABLE_END)
    if not start or not end:
        raise ValueError(f"{readme} lacks the lines {TABLE_START!r} and {TABLE_END!r} around its table of values")
    return {
        CHART / "values.yaml": values_yaml(),
        CHART / "values.schema.json": json.dumps(values_schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "templates" / "_fill.tpl": fill_template(),
        readme: f"{head}{start}\n\n{values_table()}\n{end}{tail}",
        **{CHART / "files" / "dashboards" / f"{uid}.json": text for uid, text in dashboards().items()},
    }


def main(arguments: list[str]) -> int:
    """Write the files, or with `--check` name those that differ. Returns the exit status."""
    stale = [path for path, text in generated().items() if not path.exists() or path.read_text() != text]
    if "--check" in arguments:
        for path in stale:
            sys.stderr.write(f"{path.relative_to(Path.cwd())} is stale: run `make generate`\n")
        return 1 if stale else 0
    for path in stale:
        path.write_text(generated()[path])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
