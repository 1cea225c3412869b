"""The dashboards ask for what exists, in PromQL that parses, and the chart installs them where they are wanted."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml
from dashboards import dashboards
from docpages.metrics import exported
from monitored import misused, unmeasured

ROOT = Path(__file__).parents[2]
FILE = ROOT / "charts/slicewise/files/alerts.yaml"
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}
BOARDS = {uid: json.loads(text) for uid, text in dashboards().items()}
PANELS = [
    pytest.param(uid, panel, id=f"{uid}: {panel['title']}")
    for uid, board in BOARDS.items()
    for panel in board["panels"]
    if panel["type"] != "row"
]
VALUES = {"$namespace": "team", "$pool": "chat", "$__rate_interval": "5m"}


def queries(panel):
    """The queries of a panel as Prometheus gets them."""
    for target in panel["targets"]:
        expression = target["expr"]
        for variable, value in VALUES.items():
            expression = expression.replace(variable, value)
        yield expression


def test_there_is_a_dashboard_for_each_subject():
    assert set(BOARDS) == {f"slicewise-{name}" for name in ("fleet", "pool", "rollout", "scaling", "jobs", "cost")}


@pytest.mark.parametrize(("uid", "panel"), PANELS)
def test_a_panel_asks_for_what_is_exported_and_says_what_it_shows(uid, panel):
    for expression in queries(panel):
        assert misused(expression, {**exported(), **dict.fromkeys(RECORDED)}) == []
        assert unmeasured(expression) == []
        assert set(re.findall(r"\$\w+", expression)) <= {"$1"}, "a variable that the dashboard does not have"
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["datasource"]["uid"] == "$datasource"


def test_no_rule_asks_for_what_a_slice_does_not_have():
    assert [found for rule in RULES for found in unmeasured(rule["expr"])] == []


def test_what_does_not_exist_or_is_not_measured_for_slices_is_found():
    known = exported()
    assert misused('sum(slicewise_pool_wrokers{pool="$pool"})', known) == ["slicewise_pool_wrokers"]
    assert misused('slicewise_pool_floor{pool="a",tenant="b"}', known) == ["slicewise_pool_floor: no label tenant"]
    assert misused("rate(slicewise_worker_step_seconds[5m])", known) == ["slicewise_worker_step_seconds"]
    assert misused('sum by (slicewise_dev_pool) (envoy_server_uptime{slicewise_dev_pool="a"})', known) == []
    assert unmeasured("avg(DCGM_FI_DEV_GPU_UTIL) + DCGM_FI_DEV_FB_USED") == ["DCGM_FI_DEV_GPU_UTIL"]


@pytest.mark.parametrize("uid", BOARDS)
def test_a_dashboard_asks_only_by_variables_that_it_lets_choose(uid):
    board = BOARDS[uid]
    chosen = {variable["name"] for variable in board["templating"]["list"]}
    named = set(re.findall(r"\$([a-z]\w*)", json.dumps([panel.get("targets") for panel in board["panels"]])))
    assert named <= chosen
    assert board["uid"] == uid
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    for variable in board["templating"]["list"]:
        assert misused(str(variable["query"]).replace("label_values(", "("), exported()) == []


@pytest.mark.parametrize("uid", BOARDS)
def test_no_panel_lies_over_another(uid):
    taken = set()
    for panel in BOARDS[uid]["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_prometheus_reads_every_query(tmp_path, promtool):
    found = [each for param in PANELS for each in queries(param.values[1])]
    rules = [{"record": f"q:{number}", "expr": expression} for number, expression in enumerate(found)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    result = subprocess.run(
        [promtool, "check", "rules", tmp_path / "queries.yaml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert len(found) > 80


@pytest.fixture
def read_by_grafanas_types(tmp_path, grafana_dashboards):
    """Returns what Grafana's own types find wrong with the text of a dashboard; it is empty for nothing."""
    file = tmp_path / "board.json"

    def read(text: str) -> str:
        file.write_text(text)
        result = subprocess.run([grafana_dashboards, file], capture_output=True, text=True, check=False)
        assert result.returncode == bool(result.stdout), result.stderr
        return result.stdout.removeprefix(f"{file}: ").rstrip()

    return read


@pytest.mark.parametrize("uid", BOARDS)
def test_grafanas_own_types_read_it_strictly(uid, read_by_grafanas_types):
    assert read_by_grafanas_types(dashboards()[uid]) == ""


@pytest.mark.parametrize(
    ("place", "changed", "said"),
    [
        ((), {"wdith": 1}, "Dashboard: unexpected field 'wdith'"),
        ((), {"schemaVersion": "41"}, "schemaVersion: json: cannot unmarshal string"),
        (("panels", 1), {"tilte": ""}, "panels[1].Panel: unexpected field 'tilte'"),
        (("panels", 1, "options"), {"legned": {}}, "panels[1].options.Options: unexpected field 'legned'"),
        (("panels", 1, "targets", 0), {"query": "up"}, "panels[1].targets[0].Dataquery: unexpected field 'query'"),
        (("templating", "list", 0), {"regexp": ""}, "templating.list[0].VariableModel: unexpected field 'regexp'"),
    ],
)
def test_what_grafanas_types_do_not_know_is_found(place, changed, said, read_by_grafanas_types):
    board = json.loads(dashboards()["slicewise-pool"])
    part = board
    for step in place:
        part = part[step]
    part.update(changed)
    assert said in read_by_grafanas_types(json.dumps(board))


def test_the_chart_installs_them_for_the_sidecar_of_grafana(render):
    assert not any("dashboard" in each["metadata"]["name"] for each in render({}).of_kind("ConfigMap"))
    values = {
        "grafana": {"dashboards": {"enabled": True, "namespace": "monitoring", "labels": {"grafana_dashboard": "1"}}}
    }
    found = [each for each in render(values).of_kind("ConfigMap") if "dashboard" in each["metadata"]["name"]]
    assert {name: json.loads(text) for each in found for name, text in each["data"].items()} == {
        f"{uid}.json": board for uid, board in BOARDS.items()
    }
    for each in found:
        assert each["metadata"]["namespace"] == "monitoring"
        assert each["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert each["metadata"]["annotations"] == {"grafana_folder": "Slicewise"}
