"""`make test-autoscalers`: the HPA and the ScaledObject of docs/autoscaling.md, word for word, on the controllers that they are for.

Real are the API server, the controller of HPAs, prometheus-adapter with the rule of the page, KEDA, Prometheus and our operator. Played are
the pods of gateway and workers, whose requests the operator counts. Not collected by `make test`: KEDA takes many minutes to build.
"""

from __future__ import annotations

import json
from contextlib import asynccontextmanager

import pytest
import yaml
from docpages.source_code import REPOSITORY
from servers.autoscalers import aggregation, build, horizontal_autoscaler, keda, make_certificates, prometheus_adapter
from servers.control_plane import control_plane, controller_manager
from servers.definitions import established
from servers.prometheus import prometheus
from snippets import EVERY
from wiring.conftest import make_nodes
from wiring.operator_process import Cluster, eventually, operators
from wiring.test_scaling import served

pytestmark = [pytest.mark.apiserver, pytest.mark.timeout(600)]
HPAS = "/apis/autoscaling/v2/namespaces/default/horizontalpodautoscalers"
SPEC = {"replicas": 2, "autoscaling": {"maxReplicas": 8, "mode": "Advise"}}
WITHIN = 120
"""Seconds for each step, which takes a few: an HPA adds four workers in 15 seconds at most."""


def written(kind: str) -> str:
    """The block of the page that is of that kind."""
    (found,) = [each.text for each in EVERY if each.page.name == "autoscaling.md" and each.info == f"yaml of {kind}"]
    return found


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificates):
    """An API server with our definition, nodes with slices, and the controllers that make pods and act on HPAs."""
    build()
    with control_plane(tmp_path_factory.mktemp("control-plane"), aggregation(certificates)) as running:
        running.kubectl("apply", "-f", str(REPOSITORY / "crds"))
        established(running, "inferencepools.slicewise.dev")
        with controller_manager(running), horizontal_autoscaler(running):
            make_nodes(running)
            yield running


@asynccontextmanager
async def counted(server, directory, address):
    """The pool `chat` of the page, an operator that counts its requests, and a Prometheus that scrapes the operator."""
    cluster = Cluster(server, "default")
    with operators(cluster, directory) as replicas:
        async with served(cluster, replicas, address, **SPEC) as (played, operator):
            target = {"static_configs": [{"targets": [f"127.0.0.1:{operator.port}"]}]}
            scrape = {"job_name": "operator", "honor_labels": True, **target}
            with prometheus(directory, {"groups": []}, [scrape]) as monitoring:
                try:
                    yield cluster, played, monitoring
                finally:
                    cluster.delete("chat")


def scaling(cluster: Cluster) -> dict[str, str]:
    """Why the only HPA scales or does not."""
    (found,) = cluster.server.request("GET", HPAS)[1]["items"]
    conditions = (found.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each["type"] == "ScalingActive"), {})


async def comes_to(cluster: Cluster, workers: int) -> set[int]:
    """Wait until the pool is to have that many workers; return all numbers on the way there."""
    seen: set[int] = set()

    def there() -> bool:
        seen.add(cluster.pool()["spec"]["replicas"])
        return workers in seen

    try:
        await eventually(there, f"{workers} workers", WITHIN)
    except AssertionError:
        raise AssertionError(f"{seen} and never {workers}: {json.dumps(scaling(cluster))}") from None
    return seen


async def follows_its_load(cluster: Cluster, played) -> None:
    """Up by the target of 2.8 requests a worker, stays where the load is not known, up to its most, and down to its least."""
    played.requests = 14
    await comes_to(cluster, 5)
    played.silent = True
    await eventually(lambda: scaling(cluster).get("reason") == "FailedGetExternalMetric", "no answer", WITHIN)
    played.requests, played.silent = 99, False
    assert min(await comes_to(cluster, 8)) == 5
    played.requests = 3
    await comes_to(cluster, 2)


async def keeps_its_number(cluster: Cluster) -> None:
    """Without `mode: Advise`, too, the operator leaves the number to the HPA, and names it."""
    cluster.edit("chat", {"autoscaling": {"mode": None}})
    await eventually(lambda: cluster.condition("AutoscalingActive")["reason"] == "ScaledByAnother", "seen", WITHIN)
    assert "kube-controller-manager" in cluster.condition("AutoscalingActive")["message"]
    assert cluster.pool()["spec"]["replicas"] == 2


async def test_the_hpa_scales_a_pool_by_the_metric_that_the_adapter_serves(server, tmp_path):
    async with counted(server, tmp_path, "127.79.2.1") as (cluster, played, monitoring):
        rules = yaml.safe_load(written("values of prometheus-adapter"))["rules"]["external"]
        with prometheus_adapter(server, monitoring.url, rules):
            server.kubectl("apply", "-f", "-", stdin=written("an HorizontalPodAutoscaler"))
            try:
                await follows_its_load(cluster, played)
                await keeps_its_number(cluster)
            finally:
                server.kubectl("delete", "hpa", "chat")


async def test_keda_scales_a_pool_by_its_own_question_to_prometheus(server, certificates, tmp_path):
    async with counted(server, tmp_path, "127.79.2.2") as (cluster, played, monitoring):
        with keda(server, certificates, monitoring.url):
            server.kubectl("apply", "-f", "-", stdin=written("a ScaledObject"))
            await eventually(lambda: cluster.server.request("GET", HPAS)[1]["items"], "KEDA's HPA", WITHIN)
            try:
                await follows_its_load(cluster, played)
                await keeps_its_number(cluster)
            finally:
                server.kubectl("delete", "scaledobjects.keda.sh", "chat")
