"""What the command line says of the jobs of a pool."""

from __future__ import annotations

from typing import Any

import samples
from unit.test_rendering import printed, tree

from slicewise_cli.view.explain import Surroundings, explain, explanation_lines
from slicewise_cli.view.pool import read_pool


def with_jobs(status: str, reason: str, message: str) -> dict[str, Any]:
    pool = samples.idle(jobs={"databaseSecretRef": {"name": "jobs-db"}})
    pool["status"]["conditions"].append(samples.condition("JobsAvailable", status, reason, message))
    return pool


def test_a_pool_with_jobs_says_whether_they_are_taken() -> None:
    good = tree(with_jobs("True", "Available", "2 of 2 APIs and 2 of 2 dispatchers serve"), [])
    assert "── jobs  available  2 of 2 APIs and 2 of 2 dispatchers serve\n" in good
    bad = with_jobs("False", "DurabilityOff", "chat-jobs-a: innodb_flush_log_at_trx_commit is 2, set it to 1.")
    assert "── jobs  not available  chat-jobs-a: innodb" in tree(bad, [])
    lines = printed(explanation_lines(explain(read_pool(bad, []), Surroundings())))
    assert "JobsAvailable=False DurabilityOff" in lines
    assert "spec.jobs.allowLoss: true" in lines
    assert "jobs" not in tree(samples.idle(), [])
