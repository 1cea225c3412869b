"""The CRD, its copy in the chart and the reference page are what the models say, on every run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from servers.control_plane import REPOSITORY

from slicewise.api.crd import build_crd
from slicewise.api.rules import VALIDATIONS
from slicewise.api.v1alpha1 import CONDITIONS, ConditionType, Reason

SCRIPT = REPOSITORY / "operator" / "tools" / "generate.py"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_generated_file_has_drifted(generate: ModuleType) -> None:
    assert generate.stale(REPOSITORY) == [], "run make generate"


def test_a_changed_or_missing_file_is_noticed(generate: ModuleType, tmp_path: Path) -> None:
    assert len(generate.stale(tmp_path)) == len(generate.outputs())
    for path, text in generate.outputs().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text + "\n")
    assert len(generate.stale(tmp_path)) == len(generate.outputs())


def test_the_text_is_the_same_in_another_process(generate: ModuleType) -> None:
    code = f"import runpy, sys; m = runpy.run_path({str(SCRIPT)!r}); sys.stdout.write(''.join(m['outputs']().values()))"
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert again == "".join(generate.outputs().values())


def test_the_yaml_reads_back_as_the_crd(generate: ModuleType) -> None:
    assert yaml.safe_load(generate.crd_yaml(build_crd())) == build_crd()


def test_the_charts_copy_renders_to_the_same_crd(generate: ModuleType) -> None:
    # The template code is three lines of a known shape; Helm itself renders it in the chart's tests.
    lines = generate.chart_template(build_crd()).splitlines()
    plain = "\n".join(line for line in lines if not line.lstrip().startswith("{{-"))
    crd = yaml.safe_load(plain)
    assert crd["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
    assert crd == build_crd()
    assert "{{" not in plain


KUBERNETES = re.compile(
    r"\.(affinity|tolerations\[\]|topologySpreadConstraints\[\]|env\[\]|envFrom\[\]|volumes\[\]|volumeMounts\[\]"
    r"|podSecurityContext|containerSecurityContext)\."
)
"""Below these, fields are Kubernetes' own and mean what they mean there; without descriptions the schema stays small."""


def test_everything_is_bounded() -> None:
    schema = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    unbounded = [path for root in ("spec", "status") for path, node in _nodes(schema[root], root) if not _bounded(node)]
    assert unbounded == []


def _nodes(node: Mapping[str, Any], path: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    yield path, node
    for name, child in node.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    if "items" in node:
        yield from _nodes(node["items"], f"{path}[]")
    if "additionalProperties" in node:
        yield from _nodes(node["additionalProperties"], f"{path}{{}}")


def _bounded(node: Mapping[str, Any]) -> bool:
    match node.get("type"):
        case "string":
            return "maxLength" in node or "enum" in node or node.get("format") == "date-time"
        case "array":
            return "maxItems" in node and "x-kubernetes-list-type" in node
        case "object":
            return "properties" in node or {"additionalProperties", "maxProperties"} <= node.keys()
        case None:
            return bool(node.get("x-kubernetes-int-or-string")) and "maxLength" in node
        case "boolean":
            return True
        case _:
            return True


def test_numbers_of_the_spec_are_bounded() -> None:
    spec = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    numbers = [(path, node) for path, node in _nodes(spec, "spec") if node.get("type") in {"integer", "number"}]
    assert numbers
    assert [path for path, node in numbers if not {"minimum", "maximum"} <= node.keys()] == []


def test_every_rule_says_what_it_expects_and_names_what_it_found() -> None:
    spec = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    rules = [(path, rule) for path, node in _nodes(spec, "") for rule in node.get(VALIDATIONS, ())]
    assert rules
    for path, rule in rules:
        assert rule["message"], path
        # A rule on a change cannot name the value in a way that helps; all others do.
        assert "messageExpression" in rule or "oldSelf" in rule["rule"], path


def test_every_field_has_a_description() -> None:
    spec = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    bare = [path for path, node in _nodes(spec, "spec") if path[-1] not in "]}" and "description" not in node]
    assert [path for path in bare if not KUBERNETES.search(path)] == []


def test_every_condition_is_declared_and_every_reason_has_a_condition() -> None:
    assert list(CONDITIONS) == list(ConditionType)
    assert {reason for entry in CONDITIONS.values() for reason in entry.reasons} == set(Reason)
    for entry in CONDITIONS.values():
        assert len(set(entry.reasons)) == len(entry.reasons)


@pytest.mark.parametrize("reason", list(Reason))
def test_a_reason_is_a_word_and_has_a_sentence(reason: Reason) -> None:
    assert reason.value.isalnum()
    assert reason.value[0].isupper()
    assert reason.meaning.endswith(".")
    assert Reason(reason.value) is reason


def test_the_reference_names_every_field_condition_and_reason(generate: ModuleType) -> None:
    page = generate.outputs()[Path("docs/reference/inferencepool.md")]
    schema = build_crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    for root in ("spec", "status"):
        for path, _ in _nodes(schema[root], root):
            assert (
                f"`{path.rpartition('.')[2].removesuffix('[]').removesuffix('{}')}`" in page or f"## {path}" in page
            ), path
    for word in [*ConditionType, *Reason]:
        assert f"`{word}`" in page
