"""The HPA and the ScaledObject of docs/autoscaling.md: real API servers take them, and their metric and query give what the page says."""

from __future__ import annotations

import re
import subprocess
from math import ceil
from pathlib import Path

import pytest
import yaml
from docpages.metrics import exported
from docpages.source_code import REPOSITORY
from monitored import misused
from servers.control_plane import control_plane
from servers.definitions import established
from snippets import EVERY

from slicewise.api.v1alpha1.autoscaling import AutoscalingSpec
from slicewise.autoscaling.target import Target
from slicewise.pool.scaling import target_of

STRICT = "dryRun=All&fieldValidation=Strict"
PATHS = {
    "HorizontalPodAutoscaler": "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers",
    "ScaledObject": "/apis/keda.sh/v1alpha1/namespaces/default/scaledobjects",
}
SCALERS = {
    each["kind"]: each
    for snippet in EVERY
    if snippet.page.name == "autoscaling.md" and snippet.info.startswith("yaml of ")
    for each in [yaml.safe_load(snippet.text)]
    if "kind" in each
}
AUTO = target_of(AutoscalingSpec(maxReplicas=8), 4).each


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """An API server with our definition and KEDA's."""
    with control_plane(tmp_path_factory.mktemp("control-plane")) as running:
        running.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        running.kubectl("apply", "--server-side", "-f", str(Path(__file__).parent / "scaledobjects.yaml"))
        for name in ("inferencepools.slicewise.dev", "scaledobjects.keda.sh"):
            established(running, name)
        yield running


def test_the_page_has_one_of_each():
    assert set(SCALERS) == set(PATHS)


@pytest.mark.apiserver
@pytest.mark.parametrize("kind", PATHS)
def test_the_api_server_takes_it_and_finds_what_it_scales(server, kind):
    scaler = SCALERS[kind]
    code, answer = server.request("POST", f"{PATHS[kind]}?{STRICT}", scaler)
    assert code == 201, answer
    target = scaler["spec"]["scaleTargetRef"]
    assert target["name"] == scaler["metadata"]["name"]
    _, known = server.request("GET", f"/apis/{target['apiVersion']}")
    (plural,) = {
        each["name"] for each in known["resources"] if each["kind"] == target["kind"] and "/" not in each["name"]
    }
    assert f"{plural}/scale" in {each["name"] for each in known["resources"]}


@pytest.mark.apiserver
@pytest.mark.parametrize("kind", PATHS)
def test_one_that_is_wrong_is_refused(server, kind):
    wrong = SCALERS[kind] | {"spec": SCALERS[kind]["spec"] | {"minReplicaz": 1}}
    assert server.request("POST", f"{PATHS[kind]}?{STRICT}", wrong)[0] == 400


@pytest.mark.apiserver
def test_the_scale_of_a_pool_answers_an_autoscaler_and_holds_what_it_writes(server):
    """What the HPA's controller and KEDA read: replicas and a selector."""
    pool = yaml.safe_load((REPOSITORY / "docs/examples/minimal.yaml").read_text())
    pool["metadata"] = {"name": "chat", "namespace": "default"}
    pool["spec"]["replicas"] = 2
    pools = "/apis/slicewise.dev/v1alpha1/namespaces/default/inferencepools"
    code, answer = server.request("POST", pools, pool)
    assert code == 201, answer
    code, scale = server.request("GET", f"{pools}/chat/scale")
    assert (code, scale["kind"], scale["spec"]["replicas"]) == (200, "Scale", 2)
    scale["spec"]["replicas"] = 3
    code, answer = server.request("PUT", f"{pools}/chat/scale", scale)
    assert code == 200, answer
    assert server.request("GET", f"{pools}/chat")[1]["spec"]["replicas"] == 3


def test_the_hpa_asks_for_a_metric_that_the_operator_exports():
    (metric,) = [each["external"] for each in SCALERS["HorizontalPodAutoscaler"]["spec"]["metrics"]]
    labels = ",".join(f'{key}="{value}"' for key, value in metric["metric"]["selector"]["matchLabels"].items())
    assert misused(f"{metric['metric']['name']}{{{labels}}}", exported()) == []
    assert metric["target"] == {"type": "AverageValue", "averageValue": f"{round(AUTO * 1000)}m"}


@pytest.mark.parametrize("requests", [0, 2, 3, 14, 15])
def test_prometheus_answers_the_query_of_keda_and_it_asks_for_as_many_workers_as_the_operator(
    tmp_path, promtool, requests
):
    """KEDA hands the answer and the threshold to an HPA as an AverageValue, so it asks for ⌈requests / threshold⌉."""
    (trigger,) = SCALERS["ScaledObject"]["spec"]["triggers"]
    query, threshold = trigger["metadata"]["query"], float(trigger["metadata"]["threshold"])
    assert misused(query, exported()) == []
    name = re.search(r"slicewise_\w+", query)[0]
    series = [
        {"series": f'{name}{{namespace="default",pool="chat"}}', "values": f"{requests}x9"},
        {"series": f'{name}{{namespace="default",pool="other"}}', "values": "99x9"},
        {"series": f'{name}{{namespace="other",pool="chat"}}', "values": "99x9"},
    ]
    asked = {"expr": query, "eval_time": "5m", "exp_samples": [{"labels": "{}", "value": requests}]}
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": [asked]}]}
    (tmp_path / "query.test.yaml").write_text(yaml.safe_dump(tests))
    result = subprocess.run(
        [promtool, "test", "rules", tmp_path / "query.test.yaml"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert ceil(requests / threshold - 1e-9) == Target(AUTO).workers(requests)


@pytest.fixture(scope="module")
def promtool():
    """Path of the program that tests queries."""
    script = REPOSITORY / "charts/tools/prometheus.sh"
    result = subprocess.run([script, "promtool"], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
