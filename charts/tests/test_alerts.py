"""The alerts: they fire when they should, on metrics that exist, and each leads to a section that says what to do."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from slicewise.api.v1alpha1.conditions import CONDITIONS, ConditionType
from slicewise.pool.rollout.state import Phase
from slicewise.telemetry.metrics import Metrics, Scraped
from slicewise_worker.health.metrics import WorkerMetrics

ROOT = Path(__file__).parents[2]
FILE = ROOT / "charts/slicewise/files/alerts.yaml"
RULES = [rule for group in yaml.safe_load(FILE.read_text())["groups"] for rule in group["rules"]]
NAMES = [rule["alert"] for rule in RULES]


@pytest.fixture(scope="session")
def promtool():
    result = subprocess.run([ROOT / "charts/tools/promtool.sh"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def exported():
    """The names of all series that the operator and a worker export."""
    operator, worker = Metrics(), WorkerMetrics()
    nothing = Scraped(pools=dict, fetches=tuple, watch_silence=dict, waiting=lambda: 0, running=lambda: 0)
    operator.scrape_from(nothing)
    operator.show_pools(tuple, dict)
    worker.watch_health(lambda: True, lambda: None, lambda: None)
    families = [*operator.registry.collect(), *worker.registry.collect()]
    return {f"{f.name}_total" if f.type == "counter" else f.name for f in families}


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


@pytest.mark.parametrize("rule", RULES, ids=NAMES)
def test_every_metric_in_an_alert_exists(rule):
    # `slicewise_dev_pool` and its kin are labels that the PodMonitor makes of the workers' labels.
    named = {name for name in re.findall(r"\bslicewise_\w+", rule["expr"]) if not name.startswith("slicewise_dev_")}
    assert named
    assert named <= exported()


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
    assert rule["annotations"].keys() == {"summary", "description"}
    assert f"\n## {rule['alert']}\n" in (ROOT / "docs/alerts.md").read_text()


def test_the_chart_adds_where_the_sections_are_published(render):
    values = {"prometheus": {"rules": {"enabled": True, "runbookBaseUrl": "https://x/alerts", "labels": {"a": "b"}}}}
    installed = render(values).one("PrometheusRule")
    rules = [rule for group in installed["spec"]["groups"] for rule in group["rules"]]
    urls = [rule["annotations"].pop("runbook_url") for rule in rules]
    assert urls == [f"https://x/alerts#{name.lower()}" for name in NAMES]
    assert rules == RULES
    assert installed["metadata"]["labels"]["a"] == "b"
