"""The reference page of InferencePool, made from the CRD and the declared conditions. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from slicewise.api.crd import COLUMNS
from slicewise.api.rules import EXPECTED, VALIDATIONS
from slicewise.api.v1alpha1.conditions import CONDITIONS
from slicewise.api.v1alpha1.help import HELP
from slicewise.api.v1alpha1.reasons import Reason

_DEFAULT: Final = re.compile(r" ?Default: (.+?)\.(?= |$)")
"""How a description says a default that depends on something else; the page has it in the column of defaults."""
_HEAD: Final = """<!-- Made by `make generate` from operator/src/slicewise/api. Do not edit. -->

# InferencePool

`apiVersion: slicewise.dev/v1alpha1`, `kind: InferencePool`. Write `kubectl get ipool` or
`kubectl get inferencepools.slicewise.dev`: another API has a kind of the same name.

```yaml
apiVersion: slicewise.dev/v1alpha1
kind: InferencePool
metadata: {name: chat}
spec:
  model:
    source: hf://org/repo@0123456789abcdef0123456789abcdef01234567/file.gguf
  slice: {resource: nvidia.com/mig-1g.10gb}
```

An object that breaks a rule is refused with a message that names the field and says what to write instead. A change of
`spec.model`, `spec.engine`, `spec.slice`, `spec.worker` or `spec.health` starts a new revision, but for `labels` and `annotations` of
workers; a change of anything else does not.
"""


def reference_page(crd: Mapping[str, Any]) -> str:
    """Return the page as Markdown: every field of spec and status, columns, conditions and reasons."""
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    parts = [_HEAD]
    for name in ("spec", "status"):
        for path, node in _objects(name, schema[name]):
            parts.append(_object_section(path, node))
    parts.append(_columns())
    parts.append(_conditions())
    parts.append(_reasons())
    return "\n".join(parts)


def _objects(path: str, node: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, node
    for name, child in node["properties"].items():
        if "properties" in child:
            yield from _objects(f"{path}.{name}", child)
        elif child.get("type") == "array" and "properties" in child["items"]:
            yield from _objects(f"{path}.{name}[]", child["items"])


def _object_section(path: str, node: Mapping[str, Any]) -> str:
    lines = [f"## {path}", ""]
    if "description" in node:
        lines += [_cell(node["description"]), ""]
    lines += ["| field | type | default | allowed | |", "|---|---|---|---|---|"]
    for name, child in node["properties"].items():
        needed = "required" if name in node.get("required", ()) else _default(child, written=path.startswith("spec"))
        text = _cell(_DEFAULT.sub("", child.get("description", "")).strip())
        lines.append(f"| `{name}` | {_type(child)} | {needed} | {_bounds(child)} | {text} |")
    for text in _rule_texts(node):
        lines += ["", f"Rule: {text}."]
    return "\n".join([*lines, ""])


def _type(node: Mapping[str, Any]) -> str:
    if "x-kubernetes-int-or-string" in node:
        return "quantity"
    if "additionalProperties" in node:
        return f"map of {_type(node['additionalProperties'])}"
    if node.get("type") == "array":
        return f"list of {_type(node['items'])}"
    return str(node.get("format") if node.get("format") == "date-time" else node["type"])


def _default(node: Mapping[str, Any], *, written: bool) -> str:
    """Return the default of a field; `written`: a user may write it, so that none is worth a word."""
    if "default" not in node:
        said = _DEFAULT.search(node.get("description", ""))
        without = "none" if written and "properties" not in node else ""
        return _cell(said[1]) if said else without
    value = node["default"]
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{', '.join(map(str, value)) if isinstance(value, list) else value}`"


def _bounds(node: Mapping[str, Any]) -> str:
    bounds = []
    if "enum" in node:
        bounds.append(", ".join(f"`{value}`" for value in node["enum"]))
    if "minimum" in node and "maximum" in node:
        bounds.append(f"{node['minimum']:g} to {node['maximum']:g}" if node["maximum"] < 1e6 else _whole(node))
    if "maxLength" in node:
        bounds.append(f"≤ {node['maxLength']} characters")
    if "maxItems" in node:
        bounds.append(f"≤ {node['maxItems']} entries")
    if "maxProperties" in node:
        bounds.append(f"≤ {node['maxProperties']} entries")
    if node.get("type") != "object" or "additionalProperties" in node:
        bounds += _rule_texts(node)
    return "; ".join(bounds)


def _whole(node: Mapping[str, Any]) -> str:
    return f"{node['minimum']} to {node['maximum']}"


def _rule_texts(node: Mapping[str, Any]) -> list[str]:
    return [_cell(entry["message"].removeprefix(EXPECTED)) for entry in node.get(VALIDATIONS, ())]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _columns() -> str:
    lines = ["## Columns of `kubectl get ipool`", "", "| column | from | |", "|---|---|---|"]
    for name, _, path, wide, text in COLUMNS:
        lines.append(f"| {name} | `{_cell(path)}` | {text}{' With `-o wide`.' if wide else ''} |")
    return "\n".join([*lines, ""])


def _conditions() -> str:
    lines = [
        "## Conditions",
        "",
        "`Ready`, `Reconciling` and `Stalled` are what kstatus, `helm --wait`, Flux and Argo CD read.",
        "",
        "| condition | True when | False when | absent when | reasons |",
        "|---|---|---|---|---|",
    ]
    for entry in CONDITIONS.values():
        reasons = ", ".join(f"`{reason}`" for reason in entry.reasons)
        lines.append(f"| `{entry.type}` | {entry.when_true} | {entry.when_false} | {entry.when_absent} | {reasons} |")
    return "\n".join([*lines, ""])


def _reasons() -> str:
    lines = [
        "## Reasons",
        "",
        "`Stalled` is True for a reason that only a person can help with.",
        "",
        "| reason | meaning | what helps |",
        "|---|---|---|",
    ]
    lines += [f"| `{reason.value}` | {_cell(reason.meaning)} | {HELP[reason]} |" for reason in Reason]
    return "\n".join([*lines, ""])
