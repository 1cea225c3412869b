"""What the documentation says about the chart: values that exist, YAML that parses, rights that are granted."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from chart_files import CHART
from chart_values import ChartValues
from rbac_audit import granted

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "docs/install.md",
    ROOT / "docs/response-cache.md",
    ROOT / "docs/alerts.md",
    ROOT / "docs/monitoring.md",
    ROOT / "SECURITY.md",
    CHART / "README.md",
]
VALUE = re.compile(r"(?:--set(?:-\w+)?[ =]|`)((?:[a-z]\w*)(?:\.\w+|\[\d+\])*)=")


def values_named(text):
    return {name for name in VALUE.findall(text) if not name.startswith("-")}


def exists(path):
    node = ChartValues()
    for part in re.sub(r"\[\d+\]", "", path).split("."):
        if isinstance(node, dict | list):
            return True  # a Kubernetes object: open
        names = {field.alias: name for name, field in type(node).model_fields.items()}
        if part not in names:
            return False
        node = getattr(node, names[part])
    return True


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_value_that_is_named_exists(page):
    assert [name for name in sorted(values_named(page.read_text())) if not exists(name)] == []


def test_the_check_of_values_finds_some_and_would_find_a_typo():
    assert len(values_named(PAGES[0].read_text())) > 8
    assert values_named("--set a.b=1 `c.d=2`") == {"a.b", "c.d"}
    assert not exists("crds.enable")
    assert not exists("image.tga")


def test_the_values_in_gitops_examples_are_values_of_the_chart():
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/install.md").read_text(), re.DOTALL)
    documents = [document for block in blocks for document in yaml.safe_load_all(block)]
    specs = [document["spec"] for document in documents]
    given = [spec["values"] for spec in specs if "values" in spec]
    given += [spec["source"]["helm"]["valuesObject"] for spec in specs if "helm" in spec.get("source", {})]
    assert len(given) == 2
    for values in given:
        ChartValues.model_validate(values)


RESOURCES = {
    "inferencepools.slicewise.dev": "inferencepools",
    "its status": "inferencepools/status",
    "its finalizers": "inferencepools/finalizers",
    "its own lease": "leases",
}


def test_the_rights_in_the_security_page_are_those_of_the_chart(render):
    section = (ROOT / "SECURITY.md").read_text().partition("## What the operator may do")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")] for line in section.splitlines() if line.startswith("|")]
    told = {
        (RESOURCES.get(name, name), verb)
        for _, _, names, verbs, _, _ in rows[2:]
        for name in names.lower().replace("`", "").split(", ")
        for verb in verbs.split(", ")
    }
    rules = granted(render().objects, "slicewise-system", "slicewise-operator")
    assert told == {(permission.resource, permission.verb) for permission in rules}
