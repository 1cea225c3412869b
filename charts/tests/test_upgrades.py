"""Values of an older chart with the new templates, as `helm upgrade --reuse-values` brings them together."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from chart_files import _leaves
from chart_values import ChartValues

CHART = Path(__file__).parents[1] / "slicewise"
RELEASED = sorted((Path(__file__).parent / "released").glob("*.yaml"))
"""The values.yaml of each chart that was given out."""
LEAVES = [[*path, name] for path, name, _ in _leaves(ChartValues(), [])]
ON = {"redis": {"enabled": True}, "prometheus": {"podMonitor": {"enabled": True}, "rules": {"enabled": True}}}


@pytest.fixture
def reuse(helm, tmp_path):
    """Renders today's templates with these values and no others; `new` is what the user sets besides."""

    def rendered(values, new=ON):
        chart = tmp_path / "chart"
        if not chart.exists():
            shutil.copytree(CHART, chart)
        (chart / "values.yaml").write_text(yaml.safe_dump(values))
        file = tmp_path / "new.yaml"
        file.write_text(yaml.safe_dump(new))
        result = helm("template", "slicewise", str(chart), "--namespace", "here", "--values", str(file))
        assert result.returncode == 0, result.stderr
        return result.stdout

    return rendered


def without(paths):
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for path in paths:
        node = values
        for part in path[:-1]:
            node = node.get(part, {})
        node.pop(path[-1], None)
    return values


@pytest.mark.parametrize("released", RELEASED, ids=lambda path: path.stem)
def test_values_of_a_released_chart_go_with_the_new_templates(reuse, released):
    text = reuse(yaml.safe_load(released.read_text()))
    assert "<no value>" not in text
    assert "slicewise-redis" in text


def test_without_any_values_all_is_as_by_default(reuse):
    assert reuse({}) == reuse(without([]))


@pytest.mark.parametrize("bit", range(len(LEAVES).bit_length()))
@pytest.mark.parametrize("side", [0, 1])
def test_no_value_is_needed_whichever_are_missing(reuse, bit, side):
    """Each value is missing in half of these renderings and there in the other half, beside ever other ones."""
    missing = [path for number, path in enumerate(LEAVES) if (number >> bit) & 1 == side]
    assert reuse(without(missing)) == reuse({})


def test_a_null_inside_of_a_kubernetes_object_stays_one(reuse):
    text = reuse(without([["worker", "fetchResources"]]), {"podSecurityContext": {"runAsUser": None}})
    operator = next(item for item in yaml.safe_load_all(text) if item and item["kind"] == "Deployment")
    assert "runAsUser" not in operator["spec"]["template"]["spec"]["securityContext"]
