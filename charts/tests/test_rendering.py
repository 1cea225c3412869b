"""What the chart renders, and that it renders the same everywhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

CHART = Path(__file__).parents[1] / "slicewise"
EVERYTHING = {
    "crds": {"enabled": True},
    "redis": {"enabled": True, "passwordSecret": "redis-password"},
    "mariadb": {"enabled": True, "passwordSecret": "mariadb-password"},
    "prometheus": {
        "serviceMonitor": {"enabled": True},
        "podMonitor": {"enabled": True},
        "gatewayMonitor": {"enabled": True},
        "jobsMonitor": {"enabled": True},
        "rules": {"enabled": True, "runbookBaseUrl": "https://runbooks.example/slicewise"},
    },
    "watchNamespaces": ["team-a", "team-b"],
    "imagePullSecrets": [{"name": "pull"}],
    "commonLabels": {"team": "ml"},
    "extraObjects": [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "{{ .Release.Name }}-map"}},
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: text}\n",
    ],
}
FLAGS = [
    ("networkPolicy", "NetworkPolicy", "slicewise-operator"),
    ("podDisruptionBudget", "PodDisruptionBudget", "slicewise-operator"),
    ("prometheus.serviceMonitor", "ServiceMonitor", "slicewise-operator"),
    ("prometheus.podMonitor", "PodMonitor", "slicewise-workers"),
    ("prometheus.gatewayMonitor", "PodMonitor", "slicewise-gateways"),
    ("prometheus.jobsMonitor", "PodMonitor", "slicewise-jobs"),
    ("prometheus.rules", "PrometheusRule", "slicewise-operator"),
    ("crds", "CustomResourceDefinition", "inferencepools.slicewise.dev"),
]


def nested(path, value):
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


def names(rendered):
    return {(item["kind"], item["metadata"]["name"]) for item in rendered.objects}


def test_helm_lint_has_nothing_to_say(helm):
    result = helm("lint", "--strict", str(CHART))
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["defaults", "everything"])
def test_two_renderings_without_a_cluster_are_the_same_bytes(render, values):
    assert render(values).text == render(values, again=True).text


def test_no_template_asks_the_cluster_the_clock_or_chance():
    sources = {path.name: path.read_text() for path in (CHART / "templates").iterdir()}
    pattern = re.compile(r"{{[^}]*(\blookup\b|\brand\w+|\.Capabilities|\bnow\b|\bgenSelfSigned|\buuidv4|\bhtpasswd)")
    assert [name for name, text in sources.items() if pattern.search(text)] == []


def test_nothing_is_a_hook(render):
    annotations = [item["metadata"].get("annotations") or {} for item in render(EVERYTHING).objects]
    assert not [a for a in annotations if "helm.sh/hook" in a]


@pytest.mark.parametrize(("flag", "kind", "name"), FLAGS, ids=[flag for flag, *_ in FLAGS])
def test_a_flag_adds_one_object_and_nothing_else(render, flag, kind, name):
    on = names(render(nested(f"{flag}.enabled", True)))
    off = names(render(nested(f"{flag}.enabled", False)))
    assert on - off == {(kind, name)}
    assert off <= on


def test_the_defaults_need_no_definition_that_a_plain_cluster_lacks(render):
    groups = {item["apiVersion"].partition("/")[0] for item in render().objects}
    assert groups <= {
        "v1",
        "apps",
        "policy",
        "networking.k8s.io",
        "rbac.authorization.k8s.io",
        "apiextensions.k8s.io",
    }


def test_every_object_carries_the_common_labels(render):
    unlabelled = [
        (item["kind"], item["metadata"]["name"])
        for item in render(EVERYTHING | {"extraObjects": []}).objects
        if item["metadata"].get("labels", {}).get("team") != "ml" and item["kind"] != "CustomResourceDefinition"
    ]
    assert unlabelled == []


def test_extra_objects_are_templated_whether_map_or_text(render):
    rendered = render(EVERYTHING)
    assert {("ConfigMap", "slicewise-map"), ("ConfigMap", "text")} <= names(rendered)


def test_names_that_look_like_numbers_stay_text(render):
    rendered = render({"watchNamespaces": ["789"]}, release="123")
    assert {item["metadata"].get("namespace") for item in rendered.objects} <= {None, "slicewise-system", "789"}
    assert rendered.one("Service")["spec"]["selector"]["app.kubernetes.io/instance"] == "123"


def test_another_release_name_gives_other_names(render):
    assert render(release="blue").one("Deployment")["metadata"]["name"] == "blue-slicewise-operator"
    assert render({"fullnameOverride": "x"}).one("Deployment")["metadata"]["name"] == "x-operator"


def test_the_notes_say_what_to_type_next_and_the_order_to_uninstall(helm):
    result = helm("install", "slicewise", str(CHART), "--dry-run=client", "--namespace", "here")
    notes = result.stdout.partition("NOTES:")[2]
    steps = [
        "kubectl wait --for=condition=Ready ipool/chat",
        "kubectl delete inferencepools.slicewise.dev --all --all-namespaces",
        "helm uninstall slicewise --namespace here",
        "kubectl delete crd inferencepools.slicewise.dev",
    ]
    places = [notes.find(step) for step in steps]
    assert -1 not in places, f"{result.stderr}\n{notes}"
    assert places == sorted(places)


def test_the_definition_is_the_one_in_crds(render):
    (source,) = (Path(__file__).parents[2] / "crds").glob("*.yaml")
    installed = render().one("CustomResourceDefinition")
    assert installed["metadata"]["annotations"].pop("helm.sh/resource-policy") == "keep"
    wanted = yaml.safe_load(source.read_text())
    assert installed["spec"] == wanted["spec"]
    assert installed["metadata"]["name"] == wanted["metadata"]["name"]


def test_the_definition_goes_with_the_chart_only_when_asked(render):
    definition = render({"crds": {"keep": False}}).one("CustomResourceDefinition")
    assert "helm.sh/resource-policy" not in (definition["metadata"].get("annotations") or {})
