"""Rules on `spec.jobs`: what is taken, what is refused, in which words."""

from __future__ import annotations

from pool_cases import _NAME, _duration, _memory, _value

_DATABASE = {"databaseSecretRef": {"name": "jobs-db"}}

JOBS_CASES = (
    _value("jobs.databaseSecretRef.name", "jobs-db", "jobs_db", f"'jobs_db' {_NAME}"),
    _duration("jobs.requestTimeout", "1s", "1h", "90s", "2h", **_DATABASE),
    _duration("jobs.keepFor", "1m", "8760h", "24h", "30s", **_DATABASE),
    _memory("jobs.maxBacklogBytes", "1Ti", "2Ti", "1Mi to 1Ti", "1Gi", **_DATABASE),
)
