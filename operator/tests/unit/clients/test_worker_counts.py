"""What is read of a worker's metrics: all of it, as a real worker writes it, or nothing."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from slicewise.clients.worker_counts import MOST_NAMES, parse_counts
from slicewise.clients.workers import _METRICS_LIMIT
from slicewise.cost.work import OTHER, Tokens, WorkerCounts
from slicewise_worker.engine.report import Step
from slicewise_worker.health.metrics import WorkerMetrics
from slicewise_worker.health.pressure import Memory
from slicewise_worker.health.tenant_names import MOST_NAMES as OF_A_WORKER

BARE = "slicewise_worker_generated_tokens_total 0.0\nslicewise_worker_step_seconds_sum 0.0\n"


def text_of(metrics: WorkerMetrics) -> str:
    return generate_latest(metrics.registry).decode()


def test_a_real_workers_metrics_are_understood() -> None:
    metrics = WorkerMetrics(0.6)
    metrics.watch_health(lambda: True, lambda: None, lambda: Memory(5_000_000_000, 10_000_000_000, 0))
    metrics.stepped(Step(0.25, 8, 100, 1))
    metrics.begun("team-a", 0.1, 1_234_567)
    metrics.reused("team-a", 100)
    metrics.generated("team-a", 9)
    metrics.begun(None, 0.1, 5)
    for outcome in ("stop", "length", "cancelled", "error"):
        metrics.ended(outcome, 0.5, 0.1)

    assert parse_counts(text_of(metrics)) == WorkerCounts(
        answered=2,
        busy_seconds=0.25,
        tenants={"team-a": Tokens(1, 1_234_567, 100, 9), "": Tokens(1, 5)},
        memory_bytes=5_000_000_000,
    )


def test_a_worker_that_has_done_nothing_has_counted_nothing_and_knows_of_no_slice() -> None:
    metrics = WorkerMetrics()
    metrics.watch_health(lambda: True, lambda: None, lambda: None)

    assert parse_counts(text_of(metrics)) == WorkerCounts()


def test_a_worker_with_more_tenants_than_it_names_is_read_whole() -> None:
    metrics = WorkerMetrics()
    for number in range(100):
        metrics.begun(f"{number:03}".ljust(64, "n"), 0.1, 1)
        metrics.reused(f"{number:03}".ljust(64, "n"), 0)
        metrics.generated(f"{number:03}".ljust(64, "n"), 1)
    text = text_of(metrics)
    found = parse_counts(text)

    assert len(text.encode()) < _METRICS_LIMIT
    assert found is not None
    assert len(found.tenants) == OF_A_WORKER + 1
    assert found.tenants[OTHER] == Tokens(50, 50, 0, 50)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        BARE.replace("step_seconds_sum 0.0", "step_seconds_sum NaN"),
        BARE.replace("step_seconds_sum 0.0", "step_seconds_sum -1"),
        BARE.replace("step_seconds_sum 0.0", "step_seconds_sum 1e300"),
        BARE + 'slicewise_worker_requests_total{finish_reason="stop"} +Inf\n',
        BARE + 'slicewise_worker_tenant_tokens_total{kind="prompt",tenant="a"} 1e17\n',
    ],
)
def test_what_is_no_workers_text_or_out_of_range_is_unknown_and_not_0(text: str) -> None:
    assert parse_counts(text) is None


def test_a_worker_that_names_any_number_of_tenants_fills_no_memory() -> None:
    lines = [f'slicewise_worker_tenant_queue_seconds_count{{tenant="t{n}"}} 1.0\n' for n in range(500)]
    found = parse_counts(BARE + "".join(lines))

    assert found is not None
    assert len(found.tenants) == MOST_NAMES + 1
    assert sum(one.requests for one in found.tenants.values()) == 500
