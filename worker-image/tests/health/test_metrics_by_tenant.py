"""What is counted by tenant, and the bounds of its names; the bucket boundary at the gate's limit."""

from __future__ import annotations

from typing import Any

import httpx2
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from retell import retell

from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.tenant_names import MOST_NAMES, OTHER, TenantNames
from slicewise_worker.http.tenant import TENANT_HEADER


@settings(deadline=None)
@given(st.lists(st.none() | st.text(max_size=300), max_size=200))
def test_names_are_bounded_whoever_asks(tenants: list[str | None]) -> None:
    metrics, names = WorkerMetrics(), TenantNames()
    for tenant in tenants:
        metrics.begun(tenant, 0.5, 3)
        metrics.generated(tenant, 2)
    labels = {names.of(tenant) for tenant in tenants}
    assert len(labels) <= MOST_NAMES + 1
    assert all(len(label) <= 64 and label.isascii() and label.isprintable() for label in labels)
    samples = [
        sample
        for family in text_string_to_metric_families(generate_latest(metrics.registry).decode())
        for sample in family.samples
        if sample.name == "slicewise_worker_tenant_tokens_total"
    ]
    assert {sample.labels["tenant"] for sample in samples} == labels
    assert sum(sample.value for sample in samples) == 5 * len(tenants)


def test_the_first_tenants_keep_their_names_and_later_ones_are_one() -> None:
    names = TenantNames()
    first = [names.of(f"tenant-{number}") for number in range(MOST_NAMES)]
    assert first == [f"tenant-{number}" for number in range(MOST_NAMES)]
    assert names.of("late") == names.of("later") == OTHER
    assert names.of("tenant-7") == "tenant-7"


def test_long_and_hostile_names_stay_apart() -> None:
    names = TenantNames()
    labels = [names.of(name) for name in ("a" * 200, "a" * 201, 'x"} 1\n', "x___1_", "x__ 1_")]
    assert len({*labels}) == len(labels)
    assert names.of(None) == ""


def test_times_of_requests_have_a_boundary_at_the_limit_of_the_gate(start_worker: Any, tiny: Any) -> None:
    def edges(worker: Any, name: str) -> set[str]:
        families = text_string_to_metric_families(worker.get("/metrics").text)
        return {s.labels["le"] for family in families for s in family.samples if s.name == f"{name}_bucket"}

    worker = start_worker(tiny, p95_seconds=1.7)
    for name in ("request_duration_seconds", "time_to_first_token_seconds"):
        assert "1.7" in edges(worker, f"slicewise_worker_{name}")
    assert "1.7" not in edges(worker, "slicewise_worker_step_seconds")


def test_tokens_and_waits_are_counted_for_the_tenant_that_asks(start_worker: Any, tiny: Any, tmp_path: Any) -> None:
    worker = start_worker(tiny)
    body = {"model": "chat", "prompt": [5, 6, 7, 8], "max_tokens": 3, "temperature": 0}
    for tenant in ("acme", "acme", "umbrella", ""):
        headers = {TENANT_HEADER: tenant} if tenant else {}
        assert httpx2.post(f"{worker.url}/v1/completions", json=body, headers=headers, timeout=60).status_code == 200
    tokens, waits = "slicewise_worker_tenant_tokens_total", "slicewise_worker_tenant_queue_seconds_count"
    for tenant, count in (("acme", 2), ("umbrella", 1), ("", 1)):
        assert worker.metric(tokens, tenant=tenant, kind="prompt") == 4 * count
        assert worker.metric(tokens, tenant=tenant, kind="generated") == 3 * count
        assert worker.metric(waits, tenant=tenant) == count
    vectors = start_worker(retell(tiny, tmp_path / "vectors.gguf", llama__pooling_type=1))
    asked = {"model": "chat", "input": [[5, 6, 7], [8]]}
    headers = {TENANT_HEADER: "acme"}
    assert httpx2.post(f"{vectors.url}/v1/embeddings", json=asked, headers=headers, timeout=60).status_code == 200
    assert vectors.metric(tokens, tenant="acme", kind="prompt") == 4
    assert vectors.metric(waits, tenant="acme") == 1
