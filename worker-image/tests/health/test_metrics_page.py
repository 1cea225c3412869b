"""docs/reference/metrics.md lists what a real worker serves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monitored import differs_from_page


def test_a_worker_serves_the_metrics_that_are_listed_and_no_others(start_worker: Any, tiny: Path) -> None:
    worker = start_worker(tiny)
    assert differs_from_page(worker.get("/metrics").text, "Worker") == set()
