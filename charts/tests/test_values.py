"""The values: closed, typed, and the same in all the files that are generated from their model."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from chart_files import generated, main, values_schema
from chart_values import ChartValues
from value_group import KEY, VALUE

from slicewise.api.v1alpha1.marks import is_label_key, is_label_value

CHART = Path(__file__).parents[1] / "slicewise"
MISTAKES = [
    ({"replicas": 3}, "replicas"),
    ({"image": {"tga": "1"}}, "/image"),
    ({"image": {"tag": 1.5}}, "/image/tag"),
    ({"image": {"digest": "sha256:short"}}, "/image/digest"),
    ({"image": {"pullPolicy": "Sometimes"}}, "/image/pullPolicy"),
    ({"replicaCount": -1}, "/replicaCount"),
    ({"watchNamespaces": ["Team_A"]}, "/watchNamespaces/0"),
    ({"watchNamespaces": "team-a"}, "/watchNamespaces"),
    ({"worker": {"allowPrivateSources": "yes"}}, "/worker/allowPrivateSources"),
    ({"worker": {"allowCPU": "yes"}}, "/worker/allowCPU"),
    ({"worker": {"proxy": {"https": "socks5://proxy.example:1080"}}}, "/worker/proxy/https"),
    ({"leaderElection": {"leaseDurationSeconds": 0}}, "/leaderElection/leaseDurationSeconds"),
    ({"prometheus": {"serviceMonitor": {"interval": "half a minute"}}}, "/prometheus/serviceMonitor/interval"),
    ({"networkPolicy": {"apiServer": {"ports": [70000]}}}, "/networkPolicy/apiServer/ports/0"),
    ({"crds": {"install": True}}, "/crds"),
    ({"logLevel": "verbose"}, "/logLevel"),
    ({"redis": {"enable": True}}, "/redis"),
    ({"redis": {"maxMemory": "192Mi"}}, "/redis/maxMemory"),
    ({"redis": {"image": {"tag": ""}}}, "/redis/image/tag"),
    ({"gateway": {"placement": {"containers": []}}}, "/gateway/placement"),
    ({"gateway": {"placement": {"serviceAccountName": "x"}}}, "/gateway/placement"),
    ({"worker": {"hostNetwork": True}}, "/worker"),
    ({"worker": {"terminationGracePeriodSeconds": 5}}, "/worker/terminationGracePeriodSeconds"),
]


@pytest.mark.parametrize(("values", "path"), MISTAKES, ids=[str(values) for values, _ in MISTAKES])
def test_a_mistake_fails_and_is_named_with_its_path(refusal, values, path):
    assert path in refusal(values)


def test_a_renewal_that_leaves_no_second_attempt_is_refused_with_what_to_write(refusal):
    words = refusal({"leaderElection": {"leaseDurationSeconds": 10, "renewSeconds": 9}})
    assert "leaderElection.renewSeconds: 9" in words
    assert "at most half" in words


@pytest.mark.parametrize(
    "values",
    [
        {"resources": {"claims": [{"name": "x"}]}},
        {"podSecurityContext": {"runAsUser": None, "supplementalGroups": [1]}},
        {"affinity": {"nodeAffinity": {"anything": {}}}},
        {"global": {"registry": "parent"}, "enabled": True},
    ],
    ids=["resources", "security of OpenShift", "affinity", "a parent chart"],
)
def test_maps_of_kubernetes_and_of_a_parent_chart_are_open(render, values):
    assert render(values).objects


def test_nothing_generated_is_stale():
    stale = [path.name for path, text in generated().items() if path.read_text() != text]
    assert stale == [], "run `make generate`"


def test_a_stale_file_is_named(capsys, monkeypatch):
    monkeypatch.chdir(CHART.parents[1])
    assert main(["--check"]) == 0
    monkeypatch.setattr("chart_files.values_yaml", lambda: "old\n")
    assert main(["--check"]) == 1
    assert "charts/slicewise/values.yaml is stale" in capsys.readouterr().err


def test_the_values_file_is_a_value_of_the_model():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert ChartValues.model_validate(values) == ChartValues()


def test_every_map_of_ours_is_closed():
    definitions = values_schema()["$defs"]
    assert [name for name, schema in definitions.items() if schema.get("additionalProperties") is not False] == []


def test_every_value_is_explained():
    schema = values_schema()
    groups = {"values": schema, **schema["$defs"]}
    silent = [
        f"{name}.{key}"
        for name, group in groups.items()
        for key, field in group["properties"].items()
        if not (field.get("description") or schema["$defs"][field["$ref"].rpartition("/")[2]].get("description"))
    ]
    assert silent == []


@pytest.mark.parametrize(
    ("group", "field", "value"),
    [
        ("worker", "labels", {"team": "a b"}),
        ("worker", "labels", {"team": "x" * 64}),
        ("worker", "labels", {"no blank": "a"}),
        ("worker", "labels", {"a/b/c": "a"}),
        ("worker", "nodeSelector", {"disk": "-ssd"}),
        ("worker", "annotations", {"no blank": "a"}),
        ("gateway", "labels", {"Example.com/team": "a"}),
        ("gateway", "annotations", {"no blank": "a"}),
    ],
)
def test_what_kubernetes_would_refuse_on_a_pod_is_refused_before_it_is_installed(refusal, group, field, value):
    assert f"/{group}/{field}" in refusal({group: {field: value}})


def test_labels_and_annotations_of_all_forms_are_taken(render):
    of_pods = {
        "labels": {"team": "", "example.com/Team_1.x": "A-1_b.c"},
        "annotations": {"example.com/note": "any text, {{ braces }} too"},
    }
    assert render({"worker": of_pods | {"nodeSelector": {"topology.kubernetes.io/zone": "a"}}}).objects
    assert render({"gateway": of_pods}).objects


@pytest.mark.parametrize(
    "text", ["team", "a/b", "a.b/c", "A/b", "a/B", "", "/a", "a/", "a_", "-a", "a b", "a\n", "x" * 63, "x" * 64]
)
def test_chart_and_resource_have_one_notion_of_a_label(text):
    assert bool(re.search(KEY.replace("$", r"\Z"), text)) == is_label_key(text)
    assert (len(text) <= 63 and bool(re.search(VALUE.replace("$", r"\Z"), text))) == is_label_value(text)
