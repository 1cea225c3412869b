"""The alerts: they fire when they should, on metrics that exist, and each leads to a section that says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from docpages.metrics import exported
from monitored import misused

from slicewise.api.v1alpha1.conditions import CONDITIONS, ConditionType
from slicewise.pool.rollout.state import Phase

ROOT = Path(__file__).parents[2]
FILE = ROOT / "charts/slicewise/files/alerts.yaml"
EVERY = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
RULES = [rule for rule in EVERY if "alert" in rule]
RECORDED = {rule["record"] for rule in EVERY if "record" in rule}
NAMES = [rule["alert"] for rule in RULES]


def test_the_alerts_fire_when_they_should_and_not_before(promtool):
    result = subprocess.run(
        [promtool, "test", "rules", Path(__file__).parent / "alerts.test.yaml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_alert_has_been_seen_firing():
    tests = yaml.safe_load((Path(__file__).parent / "alerts.test.yaml").read_text())["tests"]
    seen = {check["alertname"] for test in tests for check in test["alert_rule_test"] if check.get("exp_alerts")}
    assert set(NAMES) == seen


@pytest.mark.parametrize("rule", EVERY, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_metric_in_a_rule_exists_and_is_asked_for_labels_that_it_has(rule):
    assert misused(rule["expr"], {**exported(), **dict.fromkeys(RECORDED)}) == []


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_condition_reason_and_phase_in_an_alert_exists(rule):
    for matchers in re.findall(r"slicewise_pool_condition{(.*?)}", rule["expr"]):
        label = dict(re.findall(r'(\w+)="(\w+)"', matchers))
        assert label["type"] in set(ConditionType)
        assert {label["reason"]} <= set(CONDITIONS[ConditionType(label["type"])].reasons) if "reason" in label else True
    phases = re.findall(r'phase=~?"(.*?)"', rule["expr"])
    assert {phase for each in phases for phase in each.split("|")} <= set(Phase)


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_alert_says_what_how_bad_and_where_to_read_on(rule):
    assert rule["labels"].keys() == {"severity"}
    assert rule["annotations"].keys() == {"summary", "description", "runbook_url"}
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page == ROOT / f"docs/runbooks/{rule['alert']}.md"
    when = f"after {rule['for']}" if "for" in rule else "at once"
    assert page.read_text().startswith(
        f"# {rule['alert']}\n\nSeverity `{rule['labels']['severity']}`; fires {when}. [All alerts](../alerts.md)\n\n"
    )
    assert f"[{rule['alert']}](runbooks/{rule['alert']}.md)" in (ROOT / "docs/alerts.md").read_text()


def test_every_page_of_an_alert_belongs_to_one():
    assert {page.stem for page in (ROOT / "docs/runbooks").iterdir()} == set(NAMES)


def test_the_chart_adds_where_the_sections_are_published(render):
    values = {"prometheus": {"rules": {"enabled": True, "runbookBaseUrl": "https://x/books/", "labels": {"a": "b"}}}}
    installed = render(values).one("PrometheusRule")
    rules = [rule for group in installed["spec"]["groups"] for rule in group["rules"]]
    alerts = [rule for rule in rules if "alert" in rule]
    assert [rule["annotations"]["runbook_url"] for rule in alerts] == [f"https://x/books/{name}.md" for name in NAMES]
    for rule in alerts:
        rule["annotations"]["runbook_url"] = f"docs/runbooks/{rule['alert']}.md"
    assert rules == EVERY
    assert installed["metadata"]["labels"]["a"] == "b"
