"""The statistics of Envoy that docs/reference/metrics.md lists are those that a real Envoy serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from docpages.envoy_metrics import envoy_metrics
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from rig.envoy import STABLE, Rig, route, running, until
from rig.worker import StartWorkers

from slicewise.clients.stats import _TIMED, _TOLD
from slicewise.envoy import GatewayModel

MODEL = GatewayModel("chat", (route(STABLE),), p95_seconds=0.5)


async def scraped(rig: Rig) -> Mapping[str, Metric]:
    async with rig.session.get(f"http://127.0.0.1:{rig.model.ports.stats}/stats/prometheus") as answer:
        families = text_string_to_metric_families(await answer.text())
        return {family.name: family for family in families}


async def test_each_listed_statistic_is_served_with_its_type_and_labels(
    tmp_path: Path, start_workers: StartWorkers
) -> None:
    (worker,) = await start_workers(1)
    async with running(tmp_path, MODEL, {f"chat-{STABLE}": [worker]}) as rig:
        await rig.ask()
        worker.mode = "fail"
        await rig.ask()

        async def counted() -> bool:
            return {"envoy_slicewise_failed", "envoy_slicewise_fast"} <= (await scraped(rig)).keys()

        await until(counted)
        found = await scraped(rig)
    for listed in envoy_metrics():
        # Envoy names a counter of an outcome with its first event.
        if listed.name.startswith("envoy_slicewise_") and listed.name not in found:
            continue
        # The parser takes `_total` off the name of a counter.
        family = found[listed.name.removesuffix("_total") if listed.kind == "counter" else listed.name]
        assert family.type == listed.kind, listed
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        assert set(listed.labels) == labels, listed


def test_the_outcomes_that_are_listed_are_those_that_the_gate_reads() -> None:
    listed = {each.name for each in envoy_metrics() if each.name.startswith("envoy_slicewise_")}
    assert listed == {f"envoy_slicewise_{name}" for name in (*_TIMED, *_TOLD)}
