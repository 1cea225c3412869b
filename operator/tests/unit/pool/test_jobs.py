"""What a pool with `spec.jobs` gets."""

from __future__ import annotations

from builders import make_observed, make_pool

from slicewise.pool.plan import plan_pool

JOBS = {"databaseSecretRef": {"name": "jobs-db"}}


def test_a_pool_with_jobs_says_that_they_do_not_take_effect() -> None:
    plan = plan_pool(make_pool(jobs=JOBS), make_observed(), 0.0)
    accepted = next(item for item in plan.status["conditions"] if item["type"] == "Accepted")
    assert (accepted["status"], accepted["reason"]) == ("True", "AcceptedInPart")
    assert "spec.jobs does not take effect" in accepted["message"]
